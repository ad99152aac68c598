"""64-byte-aligned byte arrays and addresses of NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.runtime.plan import ALIGNMENT

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def address_of(array: np.ndarray) -> int:
    """Address of the first element."""
    return int(array.__array_interface__["data"][0])


def aligned_bytes(size: int) -> Bytes:
    """An uninitialised uint8 array of shape [size] at a 64-byte-aligned address."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -address_of(raw) % ALIGNMENT
    return raw[start : start + size]


def aligned_slots(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Zeroed int64 array of shape [count] at a 64-byte-aligned address."""
    slots = aligned_bytes(8 * count).view(np.int64)
    slots[:] = 0
    return slots


def bytes_of(array: np.ndarray) -> Bytes:
    """The bytes of a C-contiguous array as a flat uint8 view, shape [nbytes]."""
    return array.reshape(-1).view(np.uint8)
