"""Exercise 10: lists for zeros that come in blocks of four outputs.

Replace the bodies, then: python examples/course.py check 10

Outputs 4 b ... 4 b + 3 are block b. It keeps the inputs for which any of its four weights is not zero, in one list for
all four: each load of the input then serves four multiply-adds instead of one.
"""

from __future__ import annotations

from numba import njit

from cnnc.ir import Array
from cnnc.runtime.cpu.registers import registers
from cnnc.runtime.jit.target import host_target

_TARGET = host_target()
_REGISTERS = registers(_TARGET)
load, store, splat, fma = _REGISTERS.load, _REGISTERS.store, _REGISTERS.splat, _REGISTERS.fma

BYTES = _TARGET.vector_bytes
"""Of a vector."""
PIXELS = 2 * _TARGET.lanes
"""Of a tile: two vectors."""


def blocks_left(density: float) -> float:
    """The share of blocks of four that are kept if weights are not zero with this probability, each by itself."""
    raise NotImplementedError("exercise: when does a block have no weight at all?")


def pack(w: Array) -> tuple[Array, Array, Array]:
    """The lists of w [O, I], float32.

    Returns:
        starts int64 [B + 1], B being O / 4 rounded up: block b has the entries from ``starts[b]`` to ``starts[b + 1]``;
        positions int64 [n], the inputs of the entries, rising in each block; values float32 [n, 4], zero for the
        outputs that the last block does not have.
    """
    raise NotImplementedError("exercise: make a list for every block")


@njit
def multiply(starts: Array, positions: Array, values: Array, x: Array, y: Array) -> None:
    """y = w x for packed w [O, I]: x [I, P] and y [O, P], P a multiple of ``PIXELS``, O any number.

    Sums of a tile of 4 outputs x 2 vectors stay in registers while a list is walked. Nothing behind output O - 1 is
    written.
    """
    raise NotImplementedError("exercise: walk the lists")
