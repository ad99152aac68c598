"""The register tile of products with masks of weights (AVX-512): a few rows of inputs, a few vectors of outputs.

A step is a position along K. Its weights are spread over the lanes of each vector by ``vexpandps`` and the vector's
mask of 16 bits, whose ones say how many words to go on by; then every row multiplies them by its input.
"""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.tile import Tile, TwoLevels, emit_results, first_sums
from cnnc.runtime.cpu.tile_arithmetic import input_factor, weight_factor
from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.cpu.vector import I32, I64, VectorBuilder

MASKS_ARGS = (
    "x",  # address of the first row of inputs
    "x_row",  # bytes between rows
    "positions",  # address of the tile's positions
    "masks",  # address of the tile's masks
    "words",  # address of the tile's weights
    "steps",  # number of positions
    "bias",
    "slopes",
    "y",  # address of the tile's outputs
    "y_row",  # bytes between rows
    "y_block",  # bytes between vectors of outputs
    "rows_valid",
    "lanes",  # outputs left
    "alpha",
    "beta",
)

_I16 = ir.IntType(16)


def emit_masks_tile(b: VectorBuilder, tile: Tile, *values: ir.Value) -> None:
    """Sum over the positions, then finish as ``tile`` says, which has one column; ``values`` follow ``MASKS_ARGS``."""
    a = dict(zip(MASKS_ARGS, values, strict=True))
    sums = first_sums(b, tile, a)
    levels = TwoLevels(b, tile, sums) if tile.has_two_levels else None
    positions, masks, words = (b.variable(a[name]) for name in ("positions", "masks", "words"))
    last = b.ir.sub(a["rows_valid"], b.index(1))
    rows = [b.index(row) for row in range(tile.rows)]
    row_offsets = [b.ir.mul(b.ir.select(b.ir.icmp_signed("<", row, last), row, last), a["x_row"]) for row in rows]
    left = b.variable(a["steps"])
    zero = _opaque_zero(b)
    with b.loop(b.ir.sdiv(b.ir.add(a["steps"], b.index(CHAIN - 1)), b.index(CHAIN))):
        count = b.ir.select(b.ir.icmp_signed("<", b.get(left), b.index(CHAIN)), b.get(left), b.index(CHAIN))
        b.set(left, b.ir.sub(b.get(left), count))
        if levels is not None:
            levels.make_room(count)
        with b.loop(count):
            position = b.ir.zext(b.ir.load(b.pointer(b.get(positions), _I16), align=2), I64)
            place = b.ir.add(a["x"], b.ir.shl(position, b.index(2)))
            inputs = []
            for offset in row_offsets:
                word = b.splat(tile.arithmetic.word(b, b.ir.add(place, offset), 0))
                inputs.append(input_factor(b, tile.element, word))
            for block in range(tile.blocks):
                mask = b.ir.load(b.pointer(b.get(masks), _I16, 2 * block), align=2)
                lanes = b.ir.bitcast(mask, b.mask)
                weights = weight_factor(b, tile.element, _expanded(b, tile, b.get(words), lanes, zero))
                for row, value in enumerate(inputs):
                    total = sums[(row, 0), block]
                    longer = tile.arithmetic.multiply_add(b, weights, value, b.get(total))
                    # Zero times infinity would be NaN; the instruction leaves out lanes for nothing.
                    b.set(total, longer if tile.is_of_bytes else b.select(lanes, longer, b.get(total)))
                ones = b.ir.zext(_count_ones(b, mask), I64)
                b.set(words, b.ir.add(b.get(words), b.ir.shl(ones, b.index(2))))
            b.set(positions, b.ir.add(b.get(positions), b.index(2)))
            b.set(masks, b.ir.add(b.get(masks), b.index(2 * tile.blocks)))
    if levels is not None:
        levels.join()
    one = {"columns_valid": b.index(1), "y_pixel": b.index(0), "residual": b.index(0)}
    emit_results(b, tile, a | one, sums)


def _opaque_zero(b: VectorBuilder) -> ir.Value:
    """A zero vector that LLVM does not know to be one.

    The instruction waits for the last value of its destination even where the mask sets all other lanes to zero (Zen 4:
    six cycles a step instead of three). A copy of another register has none to wait for.
    """
    return b.ir.asm(ir.FunctionType(b.vector, [b.vector]), "", "=v,0", [b.zero()], side_effect=False)


def _expanded(b: VectorBuilder, tile: Tile, address: ir.Value, lanes: ir.Value, zero: ir.Value) -> ir.Value:
    """Consecutive words in ``lanes``, a mask, and zero in the others; no memory behind them is touched."""
    kind, name, rest = (b.vector, "f32", zero) if not tile.is_of_bytes else (b.integers, "i32", b.bits(zero))
    pointer = b.pointer(address, I32 if tile.is_of_bytes else kind.element)
    function = b.declare(
        f"llvm.masked.expandload.v{b.lanes}{name}", ir.FunctionType(kind, [pointer.type, b.mask, kind])
    )
    return b.ir.call(function, [pointer, lanes, rest])


def _count_ones(b: VectorBuilder, mask: ir.Value) -> ir.Value:
    wide = b.ir.zext(mask, I32)
    return b.ir.call(b.declare("llvm.ctpop.i32", ir.FunctionType(I32, [I32])), [wide])
