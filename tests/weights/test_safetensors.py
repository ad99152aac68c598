"""The safetensors format, judged by its own package; damaged headers and offsets are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.weights import read_weights, safetensors, write_weights
from cnnc.frontends.weights.element_types import ELEMENT_TYPES

judge = pytest.importorskip("safetensors.numpy", reason="the package safetensors judges this format")


def arrays() -> dict[str, np.ndarray]:
    """One array of every element type, of odd sizes."""
    made = {
        element.name: np.arange(1, 8).astype(element.numpy)[: 3 + index % 5]
        for index, element in enumerate(ELEMENT_TYPES)
    }
    made |= {"scalar": np.array(2.5), "empty": np.zeros((0, 3), np.float32), "w": np.arange(6.0).reshape(1, 2, 3)}
    return made


def as_floats(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


def test_written_files_read_back(tmp_path: Path) -> None:
    written = arrays()
    write_weights(tmp_path / "w.safetensors", written)
    weights = read_weights(tmp_path / "w.safetensors")
    assert set(weights) == set(written)
    for name, array in written.items():
        read = weights[name]
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(as_floats(read), as_floats(array))
        assert read.flags.aligned
        assert not read.flags.writeable
        assert weights.shape(name) == array.shape


def known_to_the_package() -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays().items() if "float8" not in name}


def test_the_package_reads_what_is_written(tmp_path: Path) -> None:
    written = known_to_the_package()
    write_weights(tmp_path / "w.safetensors", written)
    read = judge.load_file(tmp_path / "w.safetensors")
    assert set(read) == set(written)
    for name, array in written.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(as_floats(read[name]), as_floats(array))


def test_files_of_the_package_are_read(tmp_path: Path) -> None:
    written = known_to_the_package()
    judge.save_file(written, tmp_path / "w.safetensors", {"format": "pt"})
    weights = read_weights(tmp_path / "w.safetensors")
    assert set(weights) == set(written)
    for name, array in written.items():
        assert (weights[name].dtype, weights[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(as_floats(weights[name]), as_floats(array))


def test_elements_are_not_copied(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", {"w": np.arange(6.0), "b": np.arange(3, dtype=ml_dtypes.bfloat16)})
    weights = read_weights(tmp_path / "w.safetensors")
    assert np.shares_memory(weights["w"], weights["w"])
    assert np.shares_memory(weights["b"], weights["b"])


def file_of(folder: Path, header: object, elements: int = 0) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(elements))
    return path


def row(begin: object, end: object, shape: object = (2,), dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "elements", "fragment"),
    [
        (b"{", 0, "its header is not JSON"),
        (b"{\xff}", 0, "its header is not JSON"),
        (b'{"a": NaN}', 0, "NaN is not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", 0, "its header is not JSON"),
        (b'{"a":' * 100_000, 0, "nested too deeply"),
        (b'{"a":{"b":1,"b":2}}', 0, "the name 'b' occurs twice"),
        (b'{"a":%b,"a":%b}' % ((json.dumps(row(0, 8)).encode(),) * 2), 8, "the name 'a' occurs twice"),
        ({"a": 5}, 0, "tensor 'a': its row has no dtype"),
        ({"a": {"dtype": "F32", "shape": [2]}}, 0, "tensor 'a': its row has no dtype"),
        ({"a": row("0", "8")}, 8, "tensor 'a': its row has no dtype"),
        ({"a": row(0, 8, 2)}, 8, "tensor 'a': its row has no dtype"),
        ({"a": row(-8, 0)}, 8, "its data_offsets are no range"),
        ({"a": row(8, 0)}, 8, "its data_offsets are no range"),
        ({"a": row(0, 10**400)}, 8, "its data_offsets are no range"),
        ({"a": row(0, 12)}, 12, r"its shape \[2\] of float32 needs 8 bytes, its data_offsets give 12"),
        ({"a": row(0, 8, [2, -1])}, 8, "no size below"),
        ({"a": row(0, 8, [2.0])}, 8, "no size below"),
        ({"a": row(0, 8, [1 << 60])}, 8, "no size below"),
        ({"a": row(0, 8, [1 << 40, 1 << 40])}, 8, "too many elements"),
        ({"a": row(0, 0, [0, 1 << 40, 1 << 40])}, 0, "too many elements"),
        ({"a": row(0, 4, [1] * 65)}, 4, "at most 64 sizes"),
        ({"a": row(0, 8)}, 7, "tensor 'a': it takes bytes"),
        ({"a": row(0, 8), "b": row(4, 12)}, 12, "tensor 'b': it takes bytes"),
        ({"a": row(0, 8), "b": row(12, 20)}, 20, "tensor 'b': it takes bytes"),
        ({"a": row(4, 12)}, 12, "tensor 'a': it takes bytes"),
        ({"a": row(0, 8)}, 9, r"its tensors end at byte \d+, the file at"),
        ({"": row(0, 8)}, 8, "is no name for a tensor"),
        ({"a\ud800": row(0, 8)}, 8, "is no name for a tensor"),
    ],
)
def test_damaged_files(tmp_path: Path, header: object, elements: int, fragment: str) -> None:
    with pytest.raises(ModelError, match=rf"w\.safetensors: .*{fragment}(.|\n)*next step"):
        read_weights(file_of(tmp_path, header, elements))


@pytest.mark.parametrize("dtype", ["F4", "C64", "F33"])
def test_element_types_that_are_not_known(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"tensor 'a': element type '{dtype}'(.|\n)*float32"):
        read_weights(file_of(tmp_path, {"a": row(0, 8, dtype=dtype)}, 8))


@pytest.mark.parametrize("length", [60, 123, 128, 0x93, 0x47])
def test_headers_whose_length_looks_like_the_start_of_another_format(tmp_path: Path, length: int) -> None:
    text = json.dumps({"a": row(0, 1, [1], "U8")}).ljust(length).encode()
    assert read_weights(file_of(tmp_path, text, 1))["a"].tolist() == [0]


@pytest.mark.parametrize("length", [1 << 63, safetensors.MAX_HEADER_BYTES + 1, 3])
def test_lengths_of_the_header_that_lie(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(ModelError, match=f"a header of {length} bytes; expected at most 2"):
        read_weights(path)
