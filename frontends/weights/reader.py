"""``read_weights``: the format is known by the first bytes of the file, never by its name."""

from __future__ import annotations

import os
from pathlib import Path

from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends.weights.archive import read_entries
from cnnc.frontends.weights.mapped_file import map_file
from cnnc.frontends.weights.npz import read_npz
from cnnc.frontends.weights.safetensors import has_header, is_safetensors, read_safetensors
from cnnc.frontends.weights.torch_legacy import read_torch_legacy
from cnnc.frontends.weights.torch_zip import is_torch_archive, read_torch_zip
from cnnc.frontends.weights.weights import Content, Weights
from cnnc.runtime.aligned_memory import Bytes
from cnnc.types import DType

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PICKLE = b"\x80"
_TAR_MAGIC = slice(257, 262)
_OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer, not the weights; fetch them with `git lfs pull`",
    b"\x93NUMPY": "a single .npy array; save it under its name with numpy.savez",
    b"\x93CNNC": "a compiled artifact, which holds its weights itself",
    b"\x89HDF": "an HDF5 file (Keras?); save its arrays with numpy.savez",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"GGUF": "a GGUF file; convert it to safetensors",
    b"<": "HTML or XML (a failed download?)",
    b"{": "JSON (the index of a checkpoint in several files? give these one by one)",
}
_GIVE = "give a .safetensors, .npz, .pt or .pth file"


def read_weights(
    path: str | os.PathLike[str], *, entry: str | None = None, float_dtype: DType | None = None
) -> Weights:
    """The tensors of a weight file by name: .npz, safetensors, or what ``torch.save`` wrote of a state_dict.

    Nothing in the file is executed. Arrays are read when they are asked for; they are read-only, and views of the
    mapped file where that can be.

    Args:
        entry: which part of a PyTorch checkpoint holds the tensors, as "model" or "generator/state_dict". None finds
            it, and ``Weights.entry`` says what was found.
        float_dtype: convert floating-point tensors to this type; None leaves them as the file has them.

    Raises:
        ModelError: the file is missing, damaged, or of a format that holds no weights.
        UnsupportedError: the file holds something else than tensors, or elements that are no numbers.
        OptionError: ``entry`` or ``float_dtype`` do not fit the file.
    """
    where = str(path)
    data = map_file(Path(path))
    return Weights(where, data, _content(data, entry, where), float_dtype)


def _content(data: Bytes, entry: str | None, where: str) -> Content:
    start = data[:512].tobytes()
    if is_safetensors(start):
        return _safetensors(data, entry, where)
    if start.startswith(_ZIP):
        return _archive(data, entry, where)
    if start.startswith(_PICKLE):
        return read_torch_legacy(data, entry, where)
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise ModelError(f"this is {what}", where=where, hint=_GIVE)
    if start[_TAR_MAGIC] == b"ustar":
        what = "this is a tar archive, as PyTorch wrote them before 0.2, or another one"
        raise UnsupportedError(what, where=where, hint="load it with PyTorch and save its state_dict() again")
    if has_header(start):
        return _safetensors(data, entry, where)
    raise ModelError(f"these are no weights: the file begins with {start[:8]!r}", where=where, hint=_GIVE)


def _safetensors(data: Bytes, entry: str | None, where: str) -> Content:
    _refuse_entry(entry, where)
    return read_safetensors(data, where)


def _archive(data: Bytes, entry: str | None, where: str) -> Content:
    entries = read_entries(data, where)
    if is_torch_archive(entries):
        return read_torch_zip(data, entries, entry, where)
    if not all(found.name.endswith(".npy") for found in entries):
        other = next(found.name for found in entries if not found.name.endswith(".npy"))
        what = f"this zip archive holds {other!r:.80}; expected .npy files, or the data.pkl of torch.save"
        raise ModelError(what, where=where, hint=_GIVE)
    _refuse_entry(entry, where)
    return read_npz(data, entries, where)


def _refuse_entry(entry: str | None, where: str) -> None:
    if entry is not None:
        what = f"entry {entry!r:.80} was asked for, but only PyTorch's checkpoints have entries"
        raise OptionError(what, where=where, hint="leave entry out")
