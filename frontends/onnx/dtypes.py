"""ONNX element types (``TensorProto.DataType``) and the ``DType`` each of them is."""

from __future__ import annotations

from onnx import TensorProto

from cnnc.errors import ModelError, UnsupportedError
from cnnc.types import DType

_DTYPES = {
    TensorProto.FLOAT: DType.F32,
    TensorProto.FLOAT16: DType.F16,
    TensorProto.BFLOAT16: DType.BF16,
    TensorProto.DOUBLE: DType.F64,
    TensorProto.INT8: DType.I8,
    TensorProto.INT16: DType.I16,
    TensorProto.INT32: DType.I32,
    TensorProto.INT64: DType.I64,
    TensorProto.UINT8: DType.U8,
    TensorProto.UINT16: DType.U16,
    TensorProto.UINT32: DType.U32,
    TensorProto.UINT64: DType.U64,
    TensorProto.BOOL: DType.BOOL,
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def dtype_of(code: int) -> DType:
    """The DType of a ``TensorProto.DataType`` number.

    Raises:
        UnsupportedError: strings, complex numbers, and the floats and integers of 8 bits or less without a DType.
        ModelError: a number that ONNX gives no meaning.
    """
    dtype = _DTYPES.get(code)
    if dtype is not None:
        return dtype
    if code not in TensorProto.DataType.values() or code == TensorProto.UNDEFINED:
        raise ModelError(f"element type number {code} is not one that ONNX defines")
    name = TensorProto.DataType.Name(code).lower()
    raise UnsupportedError(f"element type {name} is not supported", hint="convert the model to a plain number type")


def code_of(dtype: DType) -> int:
    """The ``TensorProto.DataType`` number of a DType."""
    return int(_CODES[dtype])


def dtype_by_name(name: str) -> DType:
    """The DType of a ``TensorProto.DataType`` name, as ``Cast`` of opset 1 writes it (``"FLOAT"``)."""
    if name.upper() not in TensorProto.DataType.keys():  # noqa: SIM118 - a protobuf enum, not a dict
        raise ModelError(f"{name!r} is not the name of an element type")
    return dtype_of(TensorProto.DataType.Value(name.upper()))
