"""Element types of weights, and what safetensors and PyTorch call them."""

from __future__ import annotations

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from cnnc.frozen_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ElementType:
    """One element type.

    Attributes:
        name: what NumPy, ml_dtypes and PyTorch call it.
        safetensors: its name in the header of a safetensors file.
        torch_storage: PyTorch's class of a typed storage; empty where there is none.
    """

    name: str
    safetensors: str
    torch_storage: str = ""

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype in native byte order; types that NumPy lacks come from ml_dtypes."""
        made: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.name, self.name))
        return made


ELEMENT_TYPES = (
    ElementType("float64", "F64", "DoubleStorage"),
    ElementType("float32", "F32", "FloatStorage"),
    ElementType("float16", "F16", "HalfStorage"),
    ElementType("bfloat16", "BF16", "BFloat16Storage"),
    ElementType("float8_e4m3fn", "F8_E4M3"),
    ElementType("float8_e4m3fnuz", "F8_E4M3FNUZ"),
    ElementType("float8_e5m2", "F8_E5M2"),
    ElementType("float8_e5m2fnuz", "F8_E5M2FNUZ"),
    ElementType("float8_e8m0fnu", "F8_E8M0"),
    ElementType("int64", "I64", "LongStorage"),
    ElementType("int32", "I32", "IntStorage"),
    ElementType("int16", "I16", "ShortStorage"),
    ElementType("int8", "I8", "CharStorage"),
    ElementType("uint64", "U64"),
    ElementType("uint32", "U32"),
    ElementType("uint16", "U16"),
    ElementType("uint8", "U8", "ByteStorage"),
    ElementType("bool", "BOOL", "BoolStorage"),
)


@cache
def by_dtype() -> dict[np.dtype[Any], ElementType]:
    """Element types by NumPy dtype of native byte order."""
    return {element.numpy: element for element in ELEMENT_TYPES}


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether the dtype is one of the floating-point types of the table."""
    return "float" in dtype.name
