"""Exercise 7: choose a register tile, and write it for a 1x1 convolution.

Replace the bodies, then: python examples/course.py check 7

``emit_tile`` writes code with a ``VectorBuilder`` (cnnc/runtime/cpu/vector.py). What you need of it, addresses being
64-bit integers and offsets bytes:

    b.load(address, offset)             a vector of floats            b.store(value, address, offset)
    b.broadcast(address, offset)        one float in all lanes        b.zero()
    b.fma(x, y, z)                      x * y + z
    slot = b.variable(initial)          a variable: b.get(slot), b.set(slot, value)
    with b.loop(count): ...             count times
    b.ir.add(i, j), b.index(7)          integer arithmetic, an integer constant
    b.clobber_memory()                  LLVM moves no load across it
    b.lanes, b.target.vector_bytes      floats and bytes of a vector
"""

from __future__ import annotations

from typing import Any

from cnnc.runtime.cpu.vector import VectorBuilder


def loads_per_fma(pixels: int, vectors: int) -> float:
    """Loads of a step of the tile over its multiply-adds: the step loads every weight and every input once."""
    raise NotImplementedError("exercise: count the loads of a step, and its multiply-adds")


def registers_of(pixels: int, vectors: int) -> int:
    """Vector registers that the tile needs: all sums, the weights of a step, and one input in all lanes."""
    raise NotImplementedError("exercise: count the registers")


def best_tile(registers: int, width: int, output_vectors: int, chains: int) -> tuple[int, int]:
    """(pixels, vectors) of the tile with fewest loads for a multiply-add; of equal ones that with most sums.

    The tile's pixels divide ``width``, those of a row, and its vectors divide ``output_vectors``, those of the layer's
    output channels: nothing is computed twice. It fits in ``registers``, and has ``chains`` sums or more, so that
    multiply-adds need not wait for each other.
    """
    raise NotImplementedError("exercise: try all tiles that divide the layer")


def emit_tile(b: VectorBuilder, pixels: int, vectors: int, x: Any, w: Any, y: Any, channels: Any) -> None:
    """Write the code of y[p, o] = sum over i of x[i, p] * w[i, o] for a tile, all float32 and C-contiguous.

    Args:
        pixels, vectors: of the tile; O = vectors * b.lanes.
        x: address of x [I, pixels].
        w: address of w [I, O].
        y: address of y [pixels, O], which holds anything before.
        channels: I, a 64-bit integer that is known only when the code runs.
    """
    raise NotImplementedError("exercise: emit the loop over channels, and the stores behind it")
