"""Bytes to ``ModelProto``: what is not a model is refused with a sentence that says what it is instead."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.onnx.text_check import check_text

MAX_MODEL_BYTES = (1 << 31) - 1
"""A protobuf message cannot be larger; bigger models keep their weights in external data."""

_MAGIC = {
    b"version https://git-lfs": "a Git LFS pointer, not the model; fetch it with `git lfs pull`",
    b"PK\x03\x04": "a zip archive (a PyTorch checkpoint or a .npz?)",
    b"\x89PNG": "a PNG image",
    b"\x7fELF": "a program",
    b"\x89HDF": "an HDF5 file (Keras?)",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"<": "HTML or XML (a failed download?)",
    b"{": "JSON",
}
_NEWEST_IR = int(onnx.IR_VERSION)


def read_model(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> tuple[onnx.ModelProto, Path | None]:
    """The parsed model, and the folder its external data may lie in (None unless ``source`` is a path).

    Raises:
        ModelError: no such file, too large, truncated, or not an ONNX model.
    """
    if isinstance(source, onnx.ModelProto):
        _check_header(source, "model")
        return source, None
    if isinstance(source, bytes):
        return _parse(source, "model"), None
    path = Path(source)
    where = str(path)
    try:
        if not path.is_file():
            raise ModelError("there is no such file" if not path.exists() else "this is not a file", where=where)
        if path.stat().st_size > MAX_MODEL_BYTES:
            hint = "keep the weights in external data"
            raise ModelError("the file is larger than a protobuf message can be", where=where, hint=hint)
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"the file cannot be read: {error.strerror}", where=where) from error
    return _parse(data, where), path.parent


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    if not data:
        raise ModelError("the file is empty", where=where)
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"{len(data)} bytes are more than a protobuf message can have", where=where)
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise ModelError(f"this is {what}", where=where, hint="give an .onnx file")
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        hint = "the file is truncated, damaged, or not ONNX"
        raise ModelError("the file does not parse as an ONNX model", where=where, hint=hint) from error
    _check_header(model, where)
    return model


def _check_header(model: onnx.ModelProto, where: str) -> None:
    if not model.HasField("graph") or not model.ir_version:
        hint = "the file is truncated, damaged, or not ONNX"
        raise ModelError("the model has no graph or no IR version", where=where, hint=hint)
    if model.ir_version < 0 or model.ir_version > _NEWEST_IR + 32:
        raise ModelError(f"IR version {model.ir_version} makes no sense", where=where)
    if model.ir_version > _NEWEST_IR:
        reason = f"IR version {model.ir_version} is newer than {_NEWEST_IR}, the newest that is known"
        raise UnsupportedError(reason, where=where, hint="update the onnx package, or export for an older version")
    check_text(model, where)
