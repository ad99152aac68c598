"""Weight files that are written: whole or not at all, in both formats, from arrays as they come."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends.weights import read_weights, write_weights

BOTH = pytest.mark.parametrize("suffix", [".npz", ".safetensors"])


@BOTH
def test_arrays_come_back(tmp_path: Path, suffix: str) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    written = {
        "turned": whole.transpose(2, 0, 1),
        "sliced": whole[:, ::2, 1:3],
        "fortran": np.asfortranarray(whole[0]),
        "big": whole.astype(">f4"),
        "file": np.arange(3),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3), np.float16),
        "x.npy": np.array([True, False]),
    }
    write_weights(tmp_path / f"w{suffix}", written)
    weights = read_weights(tmp_path / f"w{suffix}")
    assert set(weights) == set(written)
    for name, array in written.items():
        native = array.astype(array.dtype.newbyteorder("="))
        np.testing.assert_array_equal(weights[name], native, strict=True)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"w{suffix}"]


@BOTH
def test_a_file_can_be_written_over_while_it_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    write_weights(path, {"a": np.arange(1000.0), "b": np.zeros(3)})
    weights = read_weights(path)
    write_weights(path, {"b": weights["a"]})
    np.testing.assert_array_equal(read_weights(path)["b"], np.arange(1000.0))
    np.testing.assert_array_equal(weights["b"], np.zeros(3))


class Failing(dict[str, np.ndarray]):
    """A mapping whose second array cannot be read once it is written."""

    def __init__(self) -> None:
        super().__init__(a=np.zeros(3), b=np.zeros(3))
        self.reads = 0

    def items(self):  # type: ignore[no-untyped-def]
        self.reads += 1
        if self.reads > 1:
            raise ValueError("the array is gone")
        return super().items()


@BOTH
def test_a_failure_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    write_weights(path, {"a": np.ones(3)})
    with pytest.raises(ValueError, match="gone"):
        write_weights(path, Failing())
    assert read_weights(path)["a"].tolist() == [1, 1, 1]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"w\.npz: the file cannot be written(.|\n)*check the folder"):
        write_weights(tmp_path / "missing" / "w.npz", {"a": np.ones(3)})


@pytest.mark.parametrize("name", ["w.pth", "w", "w.npy"])
def test_other_suffixes(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"expected \.npz or \.safetensors(.|\n)*w\.safetensors"):
        write_weights(tmp_path / name, {"a": np.ones(3)})


@BOTH
def test_what_no_format_has(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    with pytest.raises(UnsupportedError, match=r"tensor 'a': elements of type object are no numbers"):
        write_weights(path, {"a": np.array([None])})
    with pytest.raises(UnsupportedError, match=r"tensor 'a': elements of type complex128"):
        write_weights(path, {"a": np.zeros(2, complex)})
    with pytest.raises(ModelError, match=r"tensor '': this is no name"):
        write_weights(path, {"": np.zeros(2)})
    assert not path.exists()


def test_what_one_format_lacks(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"cannot say bfloat16(.|\n)*write \.safetensors"):
        write_weights(tmp_path / "w.npz", {"a": np.zeros(2, ml_dtypes.bfloat16)})
    with pytest.raises(ModelError, match=r"'__metadata__': this is no name"):
        write_weights(tmp_path / "w.safetensors", {"__metadata__": np.zeros(2)})
