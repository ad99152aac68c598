"""``TensorProto`` to NumPy, trusting nothing: every length is checked against the dims before anything is allocated.

External data is read, never mapped, and only from regular files that lie inside the model's folder once all symbolic
links are followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnx import SparseTensorProto, TensorProto

from cnnc.errors import ModelError
from cnnc.frontends.onnx.dtypes import dtype_of
from cnnc.ir.fact import Array
from cnnc.types import DType

MAX_TENSOR_BYTES = 1 << 34
"""Largest tensor that is read from a model: 16 GiB."""
MAX_SPARSE_BYTES = 1 << 31
"""Largest dense form of a sparse initializer: 2 GiB, as its size in the file bounds nothing."""

_TYPED_FIELD = {
    DType.F32: "float_data",
    DType.F64: "double_data",
    DType.I64: "int64_data",
    DType.U32: "uint64_data",
    DType.U64: "uint64_data",
}
"""Field that holds an element type where raw_data is not used; int32_data for all others."""


def tensor_to_array(tensor: TensorProto, folder: Path | None) -> Array:
    """The tensor as an array of its own dtype.

    Args:
        folder: where external data may lie; None when the model did not come from a file.

    Raises:
        ModelError: dims and data disagree, or external data is missing, too short or outside ``folder``.
        UnsupportedError: an element type cnnc does not have.
    """
    where = f"tensor {tensor.name!r}"
    dtype = dtype_of(tensor.data_type)
    shape = _shape(tensor.dims, where)
    count = _count(shape, where)
    size = count * dtype.size
    if size > MAX_TENSOR_BYTES:
        raise ModelError(f"{size} bytes are more than a tensor may have", where=where)
    if tensor.HasField("segment"):
        raise ModelError("the tensor is split into segments, which ONNX never specified further", where=where)
    if tensor.data_location == TensorProto.EXTERNAL:
        return _from_bytes(_read_external(tensor, folder, size, where), dtype, shape)
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != size:
            got = f"{len(tensor.raw_data)} bytes of data"
            raise ModelError(f"dims {list(shape)} of {dtype.value} need {size} bytes, got {got}", where=where)
        return _from_bytes(tensor.raw_data, dtype, shape)
    data = getattr(tensor, _TYPED_FIELD.get(dtype, "int32_data"))
    if len(data) != count:
        raise ModelError(f"dims {list(shape)} need {count} elements, got {len(data)}", where=where)
    return _from_fields(np.array(data), dtype, shape)


def sparse_to_array(sparse: SparseTensorProto, folder: Path | None) -> Array:
    """The dense form of a sparse tensor; linear indices of shape [NNZ] or coordinates of shape [NNZ, rank].

    Raises:
        ModelError: an index is out of bounds, shapes disagree, or the dense form exceeds 2 GiB.
    """
    where = f"sparse tensor {sparse.values.name!r}"
    values = tensor_to_array(sparse.values, folder).reshape(-1)
    indices = tensor_to_array(sparse.indices, folder)
    shape = _shape(sparse.dims, where)
    count = _count(shape, where)
    if count * values.itemsize > MAX_SPARSE_BYTES:
        raise ModelError(f"its dense form {list(shape)} is larger than {MAX_SPARSE_BYTES} bytes", where=where)
    if indices.dtype != np.int64 or indices.shape not in ((values.size,), (values.size, len(shape))):
        raise ModelError(f"{values.size} values do not fit indices of shape {list(indices.shape)}", where=where)
    limit = np.array(shape if indices.ndim == 2 else (count,), np.int64)
    if bool(np.less(indices, 0).any() or np.greater_equal(indices, limit).any()):
        raise ModelError(f"an index lies outside dims {list(shape)}", where=where)
    dense = np.zeros(shape, values.dtype)
    if indices.ndim == 2:
        dense[tuple(indices.T)] = values
    else:
        dense.reshape(-1)[indices] = values
    return dense


def _shape(dims: Iterable[int], where: str) -> tuple[int, ...]:
    shape = tuple(int(dim) for dim in dims)
    if any(not 0 <= dim < 2**48 for dim in shape):
        raise ModelError(f"dims {list(shape)} are outside 0..2^48", where=where)
    if len(shape) > 64:
        raise ModelError(f"{len(shape)} dims are more than an array can have", where=where)
    return shape


def _count(shape: tuple[int, ...], where: str) -> int:
    count = 1
    for dim in shape:
        count *= dim
    if count >= 2**62:
        raise ModelError(f"dims {list(shape)} make too many elements", where=where)
    return count


def _from_bytes(data: bytes, dtype: DType, shape: tuple[int, ...]) -> Array:
    array: Array = np.frombuffer(data, dtype.numpy.newbyteorder("<")).astype(dtype.numpy, copy=False)
    # A byte that is neither 0 nor 1 would make two different true values.
    return (array.view(np.uint8) != 0).reshape(shape) if dtype is DType.BOOL else array.reshape(shape)


def _from_fields(data: Array, dtype: DType, shape: tuple[int, ...]) -> Array:
    if dtype in (DType.F16, DType.BF16):
        return data.astype(np.uint16).view(dtype.numpy).reshape(shape)
    return data.astype(dtype.numpy).reshape(shape)


def _read_external(tensor: TensorProto, folder: Path | None, size: int, where: str) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    offset = _number(entries.get("offset", "0"), "offset", where)
    length = _number(entries["length"], "length", where) if "length" in entries else size
    if length != size:
        raise ModelError(f"its dims need {size} bytes, external data gives {length}", where=where)
    if folder is None:
        hint = "give the path of the model, not its bytes"
        raise ModelError(
            f"its data lies in the file {location!r}, but the model came without a folder", where=where, hint=hint
        )
    path = _inside(folder, location, where)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        reason = f"external data {location!r} cannot be read: {error.strerror}"
        raise ModelError(reason, where=where, hint="put it beside the model") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"external data {location!r} is not a regular file", where=where)
        if offset + size > status.st_size:
            needed = f"bytes {offset}..{offset + size} of {location!r} are needed"
            raise ModelError(f"{needed}, but the file ends at {status.st_size}", where=where)
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise ModelError(f"external data {location!r} ended early", where=where)
    return data


def _inside(folder: Path, location: str, where: str) -> str:
    """Real path of ``location``, which must lie inside ``folder`` after all links."""
    if not location or "\0" in location:
        raise ModelError(f"external data location {location!r} is no file name", where=where)
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, location))
    if os.path.isabs(location) or os.path.commonpath([root, path]) != root:
        reason = f"external data {location!r} lies outside the model's folder"
        raise ModelError(reason, where=where, hint="copy the file beside the model")
    return path


def _number(text: str, what: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ModelError(f"external data {what} {text[:40]!r} is not a size", where=where)
    return int(text)
