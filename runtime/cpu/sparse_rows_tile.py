"""Register code of ``gemm.f32.sparse_rows`` beside its lists: rows of A to a panel, sums to rows of Y.

Imports numba through ``vector``; kernels import it inside ``build`` only.
"""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.element_moves import transposed
from cnnc.runtime.cpu.tile import Tile, emit_results, first_sums
from cnnc.runtime.cpu.tile_arithmetic import SIGN_BITS
from cnnc.runtime.cpu.vector import VectorBuilder


def emit_panel_rows(
    b: VectorBuilder,
    element: str,
    dst: ir.Value,
    pitch: ir.Value,
    rows: ir.Value,
    offset: ir.Value,
    count: ir.Value,
) -> None:
    """One vector of rows of A for every word of a block of K, ``pitch`` bytes apart; int8 is counted from -128.

    ``rows`` is the address of the rows' addresses, one int64 a lane; ``count`` words at byte ``offset`` of each are
    there.
    """
    mask = b.tail_mask(count)
    loaded = [b.load_masked(b.load_index(rows, 8 * lane), mask, offset) for lane in range(b.lanes)]
    if element == "i8":
        loaded = [b.from_bits(b.ir.xor(b.bits(value), b.int_const(SIGN_BITS))) for value in loaded]
    for word, value in enumerate(transposed(b, loaded)):
        b.store(value, dst, b.ir.mul(pitch, b.index(word)), aligned=True)


ROW_RESULT_ARGS = (
    "sums",  # address of the sums of the first output, one vector of rows
    "pitch",  # bytes between outputs
    "bias",
    "slopes",
    "y",  # address of the first output of the first row
    "y_row",  # bytes between rows of y
    "rows",  # to store, at most as many as there are lanes
    "lanes",  # outputs left
    "alpha",
    "beta",
)


def emit_row_results(b: VectorBuilder, tile: Tile, *values: ir.Value) -> None:
    """Finish the sums of a vector of outputs for a vector of rows; ``tile``, of one pixel and block, says how."""
    a = dict(zip(ROW_RESULT_ARGS, values, strict=True))
    loaded = [b.load(a["sums"], b.ir.mul(a["pitch"], b.index(lane)), aligned=True) for lane in range(b.lanes)]
    square = b.stack_vectors(b.lanes)
    for row, value in enumerate(transposed(b, loaded)):
        b.store(value, square, row * b.target.vector_bytes, aligned=True)
    zero, one = b.index(0), b.index(1)
    fixed = {"y_pixel": zero, "y_block": zero, "rows_valid": one, "columns_valid": one, "residual": zero}
    with b.loop(a["rows"]) as row:
        totals = first_sums(b, tile, a)
        [total] = totals.values()
        value = b.load(square, b.ir.mul(row, b.index(b.target.vector_bytes)), aligned=True)
        b.set(total, b.int_add(b.get(total), b.bits(value)) if tile.is_of_bytes else value)
        emit_results(b, tile, a | fixed | {"y": b.ir.add(a["y"], b.ir.mul(row, a["y_row"]))}, totals)
