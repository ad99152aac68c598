"""Element types that ops are defined for, as ONNX groups them."""

from __future__ import annotations

from cnnc.types import DType

FLOATS = tuple(dtype for dtype in DType if dtype.is_float)
INTEGERS = tuple(dtype for dtype in DType if dtype.is_integer)
SIGNED = (*FLOATS, DType.I8, DType.I16, DType.I32, DType.I64)
NUMBERS = (*FLOATS, *INTEGERS)
INDICES = (DType.I32, DType.I64)
BOOL = (DType.BOOL,)
ANY = tuple(DType)
