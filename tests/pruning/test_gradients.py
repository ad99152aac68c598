"""Files of gradients: what is read, and what is refused before it is unpacked."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc.errors import InputError
from cnnc.pruning.gradients import read_gradients
from cnnc.pruning.weights import all_weights
from tests.pruning.graphs import Network, random

GRAPH = Network(1, 6).gemm("block.0/fc", random(6, 5)).gemm("fd", random(5, 4)).done()
WEIGHTS = all_weights(GRAPH)


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def header(shape: str, dtype: str = "'<f4'") -> bytes:
    """An .npy file that claims a shape and holds nothing."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_arrays_for_the_weights_are_read(tmp_path: Path) -> None:
    path, gradient = tmp_path / "gradients.npz", random(6, 5, seed=3)
    np.savez_compressed(path, **{"block.0/fc": gradient, "fd": np.asfortranarray(random(5, 4)), "bias": np.ones(3)})
    found = read_gradients(path, WEIGHTS)
    assert list(found) == ["block.0/fc", "fd"]
    assert (found["block.0/fc"] == gradient).all()
    assert (found["fd"] == random(5, 4)).all()


def test_a_file_prunes_as_its_arrays_do(tmp_path: Path) -> None:
    path = tmp_path / "gradients.npz"
    gradients = {"block.0/fc": random(6, 5, seed=3), "fd": random(5, 4, seed=4)}
    np.savez(path, **gradients)
    first, second = (
        cnnc.prune(GRAPH, sparsity=0.4, criterion="taylor", gradients=given) for given in (gradients, str(path))
    )
    assert all((first.masks[name] == mask).all() for name, mask in second.masks.items())


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (npy(np.ones((5, 6))), ["gradient of 'fd'", "float64[5, 6]", "float of [5, 4]"]),
        (npy(np.ones((5, 4), np.int64)), ["int64[5, 4]"]),
        (npy(np.full((5, 4), None), allow_pickle=True), ["object[5, 4]"]),
        (header("(1000000000000, 1000000000000)"), ["float32[1000000000000, 1000000000000]"]),
        (header("(5, 4)"), ["cannot be read"]),
        (header("(5, 4)", "[('a', '<f4')]"), ["expected a float of [5, 4]"]),
        (header("__import__('os')"), ["cannot be read"]),
        (b"\x93NUMPY\x03\x00" + bytes(200), ["version (3, 0)"]),
        (b"", ["cannot be read"]),
        (b"no array at all", ["cannot be read"]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, content: bytes, parts: list[str]) -> None:
    path = archive(tmp_path / "gradients.npz", fd=content)
    with pytest.raises(InputError) as caught:
        read_gradients(path, WEIGHTS)
    assert all(part in str(caught.value) for part in [*parts, "gradients.npz"]), caught.value


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gradients.npz"
    with pytest.raises(InputError, match="No such file"):
        read_gradients(path, WEIGHTS)
    path.write_bytes(npy(np.ones((5, 4))))
    with pytest.raises(InputError, match="not a zip file"):
        read_gradients(path, WEIGHTS)
    whole = archive(path, fd=npy(random(5, 4))).read_bytes()
    path.write_bytes(whole.replace(random(5, 4).tobytes(), bytes(80)))
    with pytest.raises(InputError, match="CRC"):
        read_gradients(path, WEIGHTS)
