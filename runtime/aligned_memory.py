"""64-byte-aligned byte arrays and addresses of NumPy arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnnc.runtime.plan import ALIGNMENT

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def address_of(array: np.ndarray) -> int:
    """Address of the first element."""
    return int(array.__array_interface__["data"][0])


class Block(NamedTuple):
    """Bytes with their address, which NumPy takes a microsecond to tell."""

    memory: Bytes
    address: int


def aligned_block(size: int) -> Block:
    """An uninitialised uint8 array of shape [size] at a 64-byte-aligned address."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    address = address_of(raw)
    start = -address % ALIGNMENT
    return Block(raw[start : start + size], address + start)


def aligned_bytes(size: int) -> Bytes:
    """The memory of ``aligned_block``."""
    return aligned_block(size).memory


def aligned_zeros(size: int) -> Bytes:
    """A zeroed uint8 array of shape [size] at a 64-byte-aligned address; pages that stay zero take no memory."""
    raw = np.zeros(size + ALIGNMENT, np.uint8)
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
