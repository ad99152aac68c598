"""NumPy's archives, stored and compressed; objects are refused, headers are not believed."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.weights import read_weights, weights

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "half": np.arange(3, dtype=np.float16),
    "double": np.arange(3, dtype=np.float64),
    "wide": np.arange(3),
    "bytes": np.arange(3, dtype=np.uint8),
    "mask": np.array([True, False, True]),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3), np.float32),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(3, dtype=">i4"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_what_numpy_saved(tmp_path: Path, save: object) -> None:
    save(tmp_path / "w.npz", **ARRAYS)  # type: ignore[operator]
    found = read_weights(tmp_path / "w.npz")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        read = found[name]
        np.testing.assert_array_equal(read, array.astype(array.dtype.newbyteorder("=")), strict=True)
        assert read.flags.aligned
        assert not read.flags.writeable
        assert found.shape(name) == array.shape


def npz(folder: Path, content: bytes, *, name: str = "w.npy", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(folder / "w.npz", "w", method) as archive:
        archive.writestr(name, content)
    return folder / "w.npz"


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npy_header(text: str, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


@pytest.mark.parametrize(
    ("array", "fragment"),
    [
        (np.array([{}], object), r"type object(.|\n)*pickles, which are not executed"),
        (np.array(["a"]), r"type <U1 are no numbers(.|\n)*number type"),
        (np.zeros(2, np.complex64), "complex64"),
        (np.zeros(2, [("a", "f4")]), "are no numbers"),
        (np.zeros(2, np.longdouble), "longdouble|float128|float96"),
        (np.zeros(2, "M8[s]"), "datetime64"),
        (np.zeros(2, ml_dtypes.bfloat16), r"was it bfloat16\?(.|\n)*safetensors"),
    ],
)
def test_elements_that_are_no_numbers(tmp_path: Path, array: np.ndarray, fragment: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"w\.npz: tensor 'w': elements of (.|\n)*{fragment}"):
        read_weights(npz(tmp_path, npy(array)))


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", r"no \.npy file"),
        (b"\x93NUMPY", r"no \.npy file"),
        (b"garbage!!", r"no \.npy file"),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"\x09\x00"), "version 9.0"),
        (npy_header("{'descr': '<f4'}"), "makes no sense"),
        (npy_header("(" * 9000), "makes no sense"),
        (npy_header("[" * 5000 + "]" * 5000), "makes no sense"),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os')}"), "makes no sense"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "makes no sense"),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}"), "no size below"),
        (
            npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}"),
            "needs 4398046511104 bytes",
        ),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}") + bytes(7), "needs 8 bytes, got 7"),
        (npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}") + bytes(9), "needs 8 bytes, got 9"),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_arrays(tmp_path: Path, content: bytes, fragment: str, method: int) -> None:
    with pytest.raises((ModelError, UnsupportedError), match=rf"w\.npz: tensor 'w': .*{fragment}(.|\n)*next step"):
        read_weights(npz(tmp_path, content, method=method))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_changed_elements_are_noticed(tmp_path: Path, method: int) -> None:
    content = npy(np.random.default_rng(0).standard_normal(1000).astype(np.float32))
    path = npz(tmp_path, content, method=method)
    data = bytearray(path.read_bytes())
    data[2000] ^= 16
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"w\.npz: tensor 'w': .*(checksum|do not unpack)(.|\n)*download"):
        read_weights(path)["w"]


def test_a_compressed_entry_that_is_longer_than_it_says(tmp_path: Path) -> None:
    """Twelve bytes are declared, a megabyte follows: no more than declared is unpacked."""
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"
    header = npy_header(text)
    path = npz(tmp_path, header + bytes(1 << 20), method=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    size = data.index(b"PK\x01\x02") + 24
    data[size : size + 4] = struct.pack("<L", len(header) + 12)
    path.write_bytes(data)
    with pytest.raises(ModelError, match="another checksum"):
        read_weights(path)["w"]


def test_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB of zeros in 64 KiB: refused before anything of it is unpacked."""
    monkeypatch.setattr(weights, "GROWTH_ALLOWANCE", 1 << 20)
    count = 1 << 24
    header = npy_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},)}}")
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as entry:
        entry.write(header)
        entry.write(bytes(4 * count))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"tensors take 67108864 bytes; .* at most(.|\n)*uncompressed"):
            read_weights(tmp_path / "w.npz")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_an_archive_without_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz")
    assert len(read_weights(tmp_path / "w.npz")) == 0
