"""bfloat16, and pairs of 16-bit floats in one word: taken apart for arithmetic, and put together."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PAIRS = frozenset(("f16x2", "bf16x2"))


def from_bfloat(bits: Array) -> Array:
    """bfloat16 as float32; exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_bfloat(value: Array, mode: str = "rn") -> Array:
    """float32 as the bits of bfloat16, rounded to the nearest, ties to even, or to zero (``rz``); NaN stays NaN."""
    bits = np.asarray(value, np.float32).view(np.uint32)
    if mode == "rn":
        bits_up = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
        bits = np.where(np.isnan(value), bits | np.uint32(0x400000), bits_up)
    return (bits >> np.uint32(16)).astype(np.uint16)


def split(value: Array, kind: str) -> list[Array]:
    """The elements of a word of ``f16x2`` or ``bf16x2``, low one first, or of ``bf16``, as floats to compute with."""
    if kind == "bf16":
        return [from_bfloat(value)]
    halves = [(value >> np.uint32(shift)).astype(np.uint16) for shift in (0, 16)]
    return [from_bfloat(half) if kind == "bf16x2" else half.view(np.float16) for half in halves]


def joined(parts: list[Array], kind: str) -> Array:
    """The inverse of ``split``; floats are rounded to the elements' type."""
    if kind == "f16x2":
        bits = [np.asarray(part).astype(np.float16).view(np.uint16) for part in parts]
    else:
        bits = [to_bfloat(part) for part in parts]
    if kind == "bf16":
        return bits[0]
    low, high = (half.astype(np.uint32) for half in bits)
    return low | (high << np.uint32(16))
