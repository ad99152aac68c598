"""PTX's fundamental types as NumPy's.

Untyped bits are unsigned integers. bfloat16 and pairs (``f16x2``, ``bf16x2``) stay bits: the instructions that know
them take them apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(kind)
    for name, kind in {
        **{f"u{bits}": f"u{bits // 8}" for bits in (8, 16, 32, 64)},
        **{f"s{bits}": f"i{bits // 8}" for bits in (8, 16, 32, 64)},
        **{f"b{bits}": f"u{bits // 8}" for bits in (8, 16, 32, 64)},
        "f16": "f2",
        "f32": "f4",
        "f64": "f8",
        "bf16": "u2",
        "f16x2": "u4",
        "bf16x2": "u4",
        "tf32": "u4",
        "pred": "?",
    }.items()
}
"""NumPy's dtype of each type."""


def size_of(kind: str) -> int:
    """Bytes of one element in memory."""
    return int(DTYPES[kind].itemsize)


def is_float(kind: str) -> bool:
    """Whether it is a floating-point type that NumPy computes with."""
    return kind in ("f16", "f32", "f64")


def is_signed(kind: str) -> bool:
    """Whether it is a signed integer type."""
    return kind in ("s8", "s16", "s32", "s64")


def unsigned(kind: str) -> np.dtype[Any]:
    """The unsigned integer dtype of as many bits."""
    return np.dtype(f"u{size_of(kind)}")
