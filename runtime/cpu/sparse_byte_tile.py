"""Register code of ``conv.u8.blocked.sparse``: what ``sparse_tile`` does for floats before and behind its products.

A panel row of bytes is a word for every pixel: four neighbouring channels. A vector of memory holds four pixels of a
block of channels, and a vector of a row as many as there are lanes, in the order that the fewest instructions make:
with L lanes, word w of pixel 4 * v + p lies in row w, lane p * L / 4 + v. Results go the same way back.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from cnnc.runtime.cpu.requantization import Requantization
from cnnc.runtime.cpu.vector import I32, VectorBuilder

QUAD = 4
"""Bytes of a word, and pixels of a vector of memory."""

_SIGN_BITS = -0x7F7F7F80  # 0x80808080 as int32: turning it over adds 128 to each int8


def emit_byte_rows(
    b: VectorBuilder,
    is_signed: bool,
    dst: ir.Value,
    pitch: ir.Value,
    src: ir.Value,
    pixels: ir.Value,
    fill: ir.Value,
) -> None:
    """One vector of pixels of every word of a channel block: panel rows of unsigned bytes, ``pitch`` bytes apart.

    ``pixels`` is the address of an int64 that is not 0 if the pixels follow each other in memory, and behind it of
    their offsets from ``src``, one int64 a lane; a negative one stands for padding. ``fill`` is the address of a pixel
    of padding.
    """
    words = b.lanes // QUAD
    loaded = [b.variable(b.int_const(0)) for _ in range(words)]
    with b.choose(b.ir.icmp_signed("!=", b.load_index(pixels), b.index(0))) as (together, apart):
        with together:
            first = b.ir.add(src, b.load_index(pixels, 8))
            for vector, total in enumerate(loaded):
                b.set(total, b.load_integers(first, vector * b.target.vector_bytes))
        with apart:
            for vector, total in enumerate(loaded):
                four = [_pixel(b, src, pixels, vector * QUAD + pixel, fill) for pixel in range(QUAD)]
                b.set(total, b.concatenated(four))
    for word, row in enumerate(_exchanged(b, [b.get(total) for total in loaded])):
        unsigned = b.ir.xor(row, b.int_const(_SIGN_BITS)) if is_signed else row
        b.store(unsigned, dst, b.ir.mul(pitch, b.index(word)), aligned=True)


def _pixel(b: VectorBuilder, src: ir.Value, pixels: ir.Value, number: int, fill: ir.Value) -> ir.Value:
    """The words of a pixel of one channel block."""
    offset = b.load_index(pixels, 8 + 8 * number)
    address = b.ir.select(b.ir.icmp_signed(">=", offset, b.index(0)), b.ir.add(src, offset), fill)
    return b.ir.load(b.pointer(address, ir.VectorType(I32, b.lanes // QUAD)), align=1)


def emit_byte_results(
    b: VectorBuilder,
    square: ir.Value,
    sums: ir.Value,
    pitch: ir.Value,
    bias: ir.Value,
    factors: ir.Value,
    y: ir.Value,
    count: ir.Value,
    zero_point: ir.Value,
    least: ir.Value,
) -> None:
    """``count`` pixels of a block of output channels from rows of sums ``pitch`` bytes apart: bias, requantization and
    store. ``bias`` and ``factors`` are the addresses of an int32 and a float a channel; ``square`` is room for as many
    vectors as a pixel has words."""
    target = Requantization(b, zero_point, least)
    rows = []
    for word in range(b.lanes // QUAD):
        reals = []
        for lane in range(word * QUAD, word * QUAD + QUAD):
            total = b.load_integers(sums, b.ir.mul(pitch, b.index(lane)))
            total = b.int_add(total, b.splat(b.load_word(bias, 4 * lane)))
            reals.append(b.mul(b.to_float(total), b.broadcast(factors, 4 * lane)))
        rows.append(target.words(reals))
    vectors = _exchanged(b, rows)
    with b.choose(b.ir.icmp_signed(">=", count, b.index(b.lanes))) as (whole, part):
        with whole:
            for number, vector in enumerate(vectors):
                b.ir.store(vector, b.pointer(y, vector.type, number * b.target.vector_bytes), align=1)
        with part:
            for number, vector in enumerate(vectors):
                b.store(vector, square, number * b.target.vector_bytes, aligned=True)
            pixel = ir.VectorType(I32, b.lanes // QUAD)
            with b.loop(count) as number:
                offset = b.ir.mul(number, b.index(b.lanes))
                value = b.ir.load(b.pointer(square, pixel, offset), align=4)
                b.ir.store(value, b.pointer(y, pixel, offset), align=1)


def _exchanged(b: VectorBuilder, vectors: Sequence[ir.Value]) -> list[ir.Value]:
    """V vectors of four times V words: word w of group g of vector v goes to word v of group g of vector w."""
    count = len(vectors)
    if count == 1:
        return list(vectors)
    if count == 2:
        low = [lane // 2 * 2 + lane % 2 * b.lanes for lane in range(b.lanes)]
        return [_picked(b, vectors[0], vectors[1], [lane + word for lane in low]) for word in range(2)]
    # In two rounds: words of two vectors interleaved, then pairs of words.
    groups = range(0, b.lanes, 4)
    words = [group + lane // 2 + lane % 2 * b.lanes for group in groups for lane in range(4)]
    twos = [group + lane % 2 + lane // 2 * b.lanes for group in groups for lane in range(4)]
    halves = [
        [_picked(b, vectors[first], vectors[first + 1], [place + 2 * half for place in words]) for half in range(2)]
        for first in (0, 2)
    ]
    return [
        _picked(b, halves[0][half], halves[1][half], [place + 2 * odd for place in twos])
        for half in range(2)
        for odd in range(2)
    ]


def _picked(b: VectorBuilder, first: ir.Value, second: ir.Value, places: Sequence[int]) -> ir.Value:
    return b.ir.shuffle_vector(first, second, ir.Constant(b.integers, list(places)))
