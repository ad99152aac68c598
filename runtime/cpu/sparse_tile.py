"""Register code of ``conv.f32.blocked.sparse``: a panel's rows from pixels, products by lists, results to pixels.

Imports numba through ``vector``; kernels import it inside ``build`` only.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from cnnc.runtime.cpu.element_moves import transposed
from cnnc.runtime.cpu.epilogue import Activation, emit_output
from cnnc.runtime.cpu.sparse_arithmetic import ListArithmetic
from cnnc.runtime.cpu.sparse_packing import WORD_BYTES
from cnnc.runtime.cpu.vector import I64, VectorBuilder

Transform = Callable[[ir.Value], ir.Value]


def emit_list(
    b: VectorBuilder,
    arithmetic: ListArithmetic,
    vectors: int,
    share: int,
    panel: ir.Value,
    entries: ir.Value,
    count: ir.Value,
    sums: ir.Value,
    adds: ir.Value,
) -> None:
    """Sums of ``share`` output channels over ``count`` entries, ``vectors`` vectors of pixels each, stored at ``sums``.

    With ``adds`` they are added to what lies there: the second level of their summation.
    """
    entry_bytes = (1 + share) * WORD_BYTES
    totals = [[b.variable(arithmetic.zero(b)) for _ in range(vectors)] for _ in range(share)]
    with b.loop(count) as number:
        entry = b.ir.add(entries, b.ir.mul(number, b.index(entry_bytes)))
        row = b.ir.add(panel, b.ir.sext(b.load_word(entry), I64))
        weights = [arithmetic.weight(b, entry, WORD_BYTES * (1 + channel)) for channel in range(share)]
        for vector in range(vectors):
            x = arithmetic.row(b, row, vector * b.target.vector_bytes)
            for channel, weight in enumerate(weights):
                total = totals[channel][vector]
                b.set(total, arithmetic.multiply_add(b, x, weight, b.get(total)))
    places = [
        (totals[channel][vector], (channel * vectors + vector) * b.target.vector_bytes)
        for channel in range(share)
        for vector in range(vectors)
    ]
    with b.when(b.ir.icmp_signed("!=", adds, b.index(0))):
        for total, place in places:
            b.set(total, arithmetic.add_stored(b, b.get(total), sums, place))
    for total, place in places:
        b.store(b.get(total), sums, place, aligned=True)


def emit_rows(
    b: VectorBuilder,
    transform: Callable[[VectorBuilder, list[ir.Value]], Transform],
    dst: ir.Value,
    pitch: ir.Value,
    src: ir.Value,
    pixels: ir.Value,
    fill: ir.Value,
    *parameters: ir.Value,
) -> None:
    """One vector of pixels of every lane of a channel block: panel rows ``pitch`` bytes apart.

    ``pixels`` is the address of an int64 that is not 0 if the pixels follow each other in memory, and behind it of
    their offsets from ``src``, one int64 a lane; a negative one stands for padding, which is 0 whatever ``fill`` is.
    """
    transformed = transform(b, list(parameters))
    loaded = []
    for lane in range(b.lanes):
        offset = b.load_index(pixels, 8 + 8 * lane)
        inside = b.ir.icmp_signed(">=", offset, b.index(0))
        # What is loaded for padding is the first pixel's: it exists, and is not used.
        value = b.load(src, b.ir.select(inside, offset, b.index(0)))
        loaded.append(b.select(b.splat_mask(inside), transformed(value), b.zero()))
    for lane, value in enumerate(transposed(b, loaded)):
        b.store(value, dst, b.ir.mul(pitch, b.index(lane)), aligned=True)


def emit_results(
    b: VectorBuilder,
    activation: str,
    has_residual: bool,
    square: ir.Value,
    sums: ir.Value,
    pitch: ir.Value,
    bias: ir.Value,
    slopes: ir.Value,
    residual: ir.Value,
    y: ir.Value,
    count: ir.Value,
    alpha: ir.Value,
    beta: ir.Value,
) -> None:
    """``count`` pixels of a block of output channels from rows of sums ``pitch`` bytes apart: bias, residual,
    activation and store. ``square`` is room for as many vectors as there are lanes."""
    rows = [b.load(sums, b.ir.mul(pitch, b.index(lane)), aligned=True) for lane in range(b.lanes)]
    for pixel, value in enumerate(transposed(b, rows)):
        b.store(value, square, pixel * b.target.vector_bytes, aligned=True)
    slope = b.load(slopes) if activation == "prelu" else None
    parameters = Activation(activation, b.float_bits(alpha), b.float_bits(beta), slope)
    biases = b.load(bias)
    with b.loop(count) as pixel:
        offset = b.ir.mul(pixel, b.index(b.target.vector_bytes))
        total = b.add(b.load(square, offset, aligned=True), biases)
        emit_output(b, parameters, total, y, residual if has_residual else None, offset)
