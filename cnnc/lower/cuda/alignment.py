"""Whether operands lie so that kernels can load and store 16 bytes at a time."""

from __future__ import annotations

from cnnc.dims import Dim
from cnnc.runtime.program import BufferArg


def in_quads(argument: BufferArg, *sizes: Dim) -> bool:
    """Whether the argument lies at a multiple of 16 bytes, and all sizes are multiples of 4 elements."""
    return _divides(16, argument.offset) and all(_divides(4, size) for size in sizes)


def _divides(number: int, size: Dim) -> bool:
    return isinstance(size, int) and size % number == 0
