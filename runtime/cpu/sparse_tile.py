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
from cnnc.runtime.cpu.vector import I32, I64, VectorBuilder

Transform = Callable[[ir.Value], ir.Value]


SHORT = ("none", "relu", "clip", "leaky_relu", "prelu", "thresholded_relu", "hard_sigmoid", "hard_swish")
"""Activations of a few instructions, which are written out for every pixel of a vector."""


def emit_list(
    b: VectorBuilder,
    arithmetic: ListArithmetic,
    pixels: int,
    share: int,
    panel: ir.Value,
    entries: ir.Value,
    count: ir.Value,
    sums: ir.Value,
    pitch: ir.Value,
    adds: ir.Value,
) -> None:
    """Sums of ``share`` output channels over ``count`` entries, stored at ``sums``, ``pitch`` bytes apart.

    Each is of ``pixels`` lanes: vectors, and half or a quarter of one. With ``adds`` they are added to what lies there:
    the second level of their summation.
    """
    entry_bytes = (1 + share) * WORD_BYTES
    vectors, rest = divmod(pixels, b.lanes)
    builders = [b] * vectors + ([_narrowed(b, rest)] if rest else [])
    totals = [[part.variable(arithmetic.zero(part)) for part in builders] for _ in range(share)]
    with b.loop(count) as number:
        entry = b.ir.add(entries, b.ir.mul(number, b.index(entry_bytes)))
        row = b.ir.add(panel, b.ir.sext(b.load_word(entry), I64))
        # A narrower vector takes the weight from the wide one's first lanes.
        weights = [arithmetic.weight(b, entry, WORD_BYTES * (1 + channel)) for channel in range(share)]
        for vector, part in enumerate(builders):
            x = arithmetic.row(part, row, vector * b.target.vector_bytes)
            for channel, weight in enumerate(weights):
                total = totals[channel][vector]
                factor = weight if part is b else _first_lanes(part, weight)
                part.set(total, arithmetic.multiply_add(part, x, factor, part.get(total)))
    places = [
        (
            part,
            totals[channel][vector],
            b.ir.add(b.ir.mul(pitch, b.index(channel)), b.index(b.target.vector_bytes * vector)),
        )
        for channel in range(share)
        for vector, part in enumerate(builders)
    ]
    with b.when(b.ir.icmp_signed("!=", adds, b.index(0))):
        for part, total, place in places:
            part.set(total, arithmetic.add_stored(part, part.get(total), sums, place))
    for part, total, place in places:
        part.store(part.get(total), sums, place, aligned=True)


def _narrowed(b: VectorBuilder, lanes: int) -> VectorBuilder:
    """A builder of vectors of ``lanes`` lanes, half or a quarter of ``b``'s."""
    return b if lanes == b.lanes else _narrowed(b.halved(), lanes)


def _first_lanes(b: VectorBuilder, value: ir.Value) -> ir.Value:
    """The first lanes of a vector, as many as ``b`` has."""
    lanes = ir.Constant(ir.VectorType(I32, b.lanes), list(range(b.lanes)))
    return b.ir.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), lanes)


def emit_rows(
    b: VectorBuilder,
    transform: Callable[[VectorBuilder, list[ir.Value]], Transform],
    has_transform: bool,
    dst: ir.Value,
    pitch: ir.Value,
    src: ir.Value,
    pixels: ir.Value,
    fill: ir.Value,
    *parameters: ir.Value,
) -> None:
    """One vector of pixels of every lane of a channel block: panel rows ``pitch`` bytes apart.

    ``pixels`` is the address of an int64 that is not 0 if the pixels follow each other in memory, and behind it of
    their offsets from ``src``, one int64 a lane; a negative one stands for padding. ``fill`` is the address of a vector
    of zeros.
    """
    transformed = transform(b, list(parameters))
    loaded = [b.variable(b.zero()) for _ in range(b.lanes)]
    with b.choose(b.ir.icmp_signed("!=", b.load_index(pixels), b.index(0))) as (together, apart):
        with together:
            first = b.ir.add(src, b.load_index(pixels, 8))
            for lane, value in enumerate(loaded):
                b.set(value, transformed(b.load(first, lane * b.target.vector_bytes)))
        with apart:
            for lane, value in enumerate(loaded):
                offset = b.load_index(pixels, 8 + 8 * lane)
                inside = b.ir.icmp_signed(">=", offset, b.index(0))
                pixel = b.load(b.ir.select(inside, b.ir.add(src, offset), fill))
                # Padding is 0 behind the transform too.
                b.set(value, b.select(b.splat_mask(inside), transformed(pixel), b.zero()) if has_transform else pixel)
    for lane, value in enumerate(transposed(b, [b.get(value) for value in loaded])):
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
    slope = b.load(slopes) if activation == "prelu" else None
    parameters = Activation(activation, b.float_bits(alpha), b.float_bits(beta), slope)
    biases = b.load(bias)
    rows = [b.load(sums, b.ir.mul(pitch, b.index(lane)), aligned=True) for lane in range(b.lanes)]
    pixels = transposed(b, rows)

    def finish(value: ir.Value, offset: ir.Value) -> None:
        emit_output(b, parameters, b.add(value, biases), y, residual if has_residual else None, offset)

    def finish_from_memory() -> None:
        for pixel, value in enumerate(pixels):
            b.store(value, square, pixel * b.target.vector_bytes, aligned=True)
        with b.loop(count) as pixel:
            offset = b.ir.mul(pixel, b.index(b.target.vector_bytes))
            finish(b.load(square, offset, aligned=True), offset)

    if activation not in SHORT:
        finish_from_memory()
        return
    with b.choose(b.ir.icmp_signed(">=", count, b.index(b.lanes))) as (whole, cut):
        with whole:
            for pixel, value in enumerate(pixels):
                finish(value, b.index(pixel * b.target.vector_bytes))
        with cut:
            finish_from_memory()
