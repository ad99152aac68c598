"""Arrays as ``TensorProto``: with their content, or with a reference to a file beside the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np
from onnx import StringStringEntryProto, TensorProto

from cnnc.ir.fact import Array
from cnnc.types import DType

TensorStore = Callable[[str, Array], TensorProto]
"""Name and array -> the initializer."""

ALIGNMENT = 4096
"""Offsets of external tensors are multiples of a page, so that readers can map them."""
LEAST_EXTERNAL_BYTES = 1024
"""Smaller tensors stay in the model: shape inference wants to see those that hold sizes."""


_NAMES: Mapping[DType, str] = {
    DType.F16: "FLOAT16",
    DType.BF16: "BFLOAT16",
    DType.F32: "FLOAT",
    DType.F64: "DOUBLE",
    DType.I8: "INT8",
    DType.I16: "INT16",
    DType.I32: "INT32",
    DType.I64: "INT64",
    DType.U8: "UINT8",
    DType.U16: "UINT16",
    DType.U32: "UINT32",
    DType.U64: "UINT64",
    DType.BOOL: "BOOL",
}
"""How ONNX calls each element type."""


def code_of(dtype: DType) -> int:
    """The ``TensorProto.DataType`` number of a DType."""
    return int(TensorProto.DataType.Value(_NAMES[dtype]))


def type_text(dtype: DType) -> str:
    """The element type as operator schemas write it: ``tensor(float)``."""
    return f"tensor({_NAMES[dtype].lower()})"


def inline_tensor(name: str, array: Array) -> TensorProto:
    """A tensor that holds its content, row-major and little-endian."""
    tensor = _header(name, array)
    tensor.raw_data = _little_endian(array).tobytes()
    return tensor


class ExternalTensors:
    """Writes the content of tensors to a file, one behind the other.

    Args:
        file: where to write, from its start.
        location: the file's path as seen from the model.
    """

    def __init__(self, file: BinaryIO, location: str) -> None:
        self._file = file
        self._location = location
        self._end = 0

    def __call__(self, name: str, array: Array) -> TensorProto:
        if array.nbytes < LEAST_EXTERNAL_BYTES:
            return inline_tensor(name, array)
        offset = -(-self._end // ALIGNMENT) * ALIGNMENT
        self._file.write(bytes(offset - self._end))
        self._file.write(_little_endian(array).reshape(-1).view(np.uint8).data)
        self._end = offset + array.nbytes
        tensor = _header(name, array)
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": self._location, "offset": str(offset), "length": str(array.nbytes)}
        tensor.external_data.extend(StringStringEntryProto(key=key, value=value) for key, value in entries.items())
        return tensor


def _header(name: str, array: Array) -> TensorProto:
    return TensorProto(name=name, dims=array.shape, data_type=code_of(DType.of(array.dtype)))


def _little_endian(array: Array) -> Array:
    contiguous = np.ascontiguousarray(array)
    return contiguous.astype(array.dtype.newbyteorder("<"), copy=False)
