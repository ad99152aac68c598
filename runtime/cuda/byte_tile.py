"""The register tile of products of bytes: what a thread computes of a block's tile, by ``dp4a`` or by ``mma.sync``.

A step multiplies ``blocks`` blocks of 8 input channels, in chunks of ``CHUNK``: 32 bytes of every output channel's
weights by 32 of every pixel. Pixels lie in shared memory as [block][pixel] of 8 bytes, in *slots*: neighbouring pixels
are dealt to threads such that each reads two slots at once, 16 bytes, and that threads that follow each other store
pixels that do. Weights come packed in the order of their use. Sums are int32, and wrap around.

With ``dp4a`` a thread multiplies ``rows`` channels by ``columns`` pixels, a word of four channels at a time. With
``mma`` a warp multiplies 8 * ``rows`` channels by 4 * ``columns`` pixels on tensor cores: m16n8k32, or, on
architectures before sm_80, four m8n8k16, whose fragments are halves of it. Which channel a row of the instruction is,
and which pixel a column, is free: they are chosen such that a thread ends with ``rows`` neighbouring channels of its
pixels, and along K such that the two words of a block of channels are the two words of its fragment. (PTX ISA, warp
level matrix instructions: a thread of lane 4 g + t holds row g and column g of the factors, columns 2 t and 2 t + 1 of
the sums.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import LANES, WARP, capability
from cnnc.runtime.kernel import Params, Target

CHUNK = 4
"""Blocks of input channels that are multiplied together: the depth of m16n8k32."""

CHUNK_BYTES = CHUNK * LANES
"""Of a channel's weights, or of a pixel, in a chunk."""

PADDING = 4
"""Slots between two blocks of pixels: threads that read four blocks hit other banks."""

_SLOTS = 16
"""Pixels that are dealt out together."""

_WORD = 4


@dataclass(frozen=True, slots=True)
class ByteTile:
    """Shape of the tile of a block and of its threads.

    Attributes:
        tensor: 1 multiplies on tensor cores, by ``mma.sync``; 0 by ``dp4a``.
        rows: neighbouring output channels of a thread, 4 or 8.
        columns: pixels of a thread, a multiple of 4 for mma, else of 2.
        row_threads, column_threads: threads of a block along channels and pixels. For mma a warp has 8 by 4 of them;
            for dp4a a row has 8.
        blocks: of input channels of a step, a multiple of ``CHUNK``.
    """

    tensor: int
    rows: int
    columns: int
    row_threads: int
    column_threads: int
    blocks: int = CHUNK

    @property
    def channels(self) -> int:
        """Output channels of a block."""
        return self.rows * self.row_threads

    @property
    def pixels(self) -> int:
        """Output pixels of a block; divides the threads."""
        return self.columns * self.column_threads

    @property
    def threads(self) -> int:
        return self.row_threads * self.column_threads

    @property
    def copied_blocks(self) -> int:
        """Blocks of channels that a thread copies of its pixel in a step."""
        return self.blocks * self.pixels // self.threads

    @property
    def blocks_apart(self) -> int:
        """From one of these blocks to the next."""
        return self.threads // self.pixels

    @property
    def weight_quads(self) -> int:
        """16 bytes of weights that the threads copy in a step."""
        return self.weight_bytes // 16

    @property
    def pitch(self) -> int:
        """Slots from one block of pixels to the next."""
        return self.pixels + PADDING

    @property
    def weight_bytes(self) -> int:
        """Of a step."""
        return self.blocks * LANES * self.channels

    @property
    def stage_bytes(self) -> int:
        """Of weights and pixels together; two stages are in use."""
        return self.weight_bytes + self.blocks * LANES * self.pitch

    @property
    def pixel_stride(self) -> int:
        """From one of a thread's pixels to its next."""
        return 4 if self.tensor else self.column_threads


def byte_tile_of(params: Params) -> ByteTile:
    """The tile that a kernel's compile-time parameters name."""
    names = ("tensor", "rows", "columns", "row_threads", "column_threads", "blocks")
    return ByteTile(*(int(params[name]) for name in names))


def pack_tiles(weights: NDArray[np.int8], tile: ByteTile) -> NDArray[np.int8]:
    """Weights [..., channels, chunks, 4 blocks, 8] in the order of their use: [..., chunks, bytes of a chunk].

    Channels are those of one block tile.
    """
    *outer, channels, chunks, _, _ = weights.shape
    assert channels == tile.channels
    if not tile.tensor:
        ordered = np.moveaxis(weights, -4, -2)  # [..., chunk, block, channel, byte]
    else:
        # Channel (warp, g, i, h), block t, word v -> [warp][i][g][t][v][h][byte].
        warps, pairs = tile.row_threads // 8, tile.rows // 2
        parts = weights.reshape(*outer, warps, 8, pairs, 2, chunks, CHUNK, LANES // _WORD, _WORD)
        at = len(outer)
        order = (at + 4, at, at + 2, at + 1, at + 5, at + 6, at + 3, at + 7)
        ordered = parts.transpose(*range(at), *order)
    return np.ascontiguousarray(ordered).reshape(*outer, chunks, CHUNK_BYTES * channels)


@dataclass(frozen=True)
class TileCode:
    """Functions for Numba CUDA code.

    Attributes:
        zero: () -> a tile of zeros, the channels of a thread's first pixel first.
        multiply: (tile, weights, pixels) -> the tile plus the products of a step; addresses of the thread's first
            weights and slots in shared memory.
        first_row, first_column: (thread) -> its first channel and pixel of the block's.
        weights_at, slots_at: (thread) -> its first byte of a stage's weights, and of its pixels.
        slot: (pixel) -> its slot.
    """

    zero: Any
    multiply: Any
    first_row: Callable[[Any], Any]
    first_column: Callable[[Any], Any]
    weights_at: Callable[[Any], Any]
    slots_at: Callable[[Any], Any]
    slot: Callable[[Any], Any]


def tile_code(tile: ByteTile, element: str, target: Target) -> TileCode:
    """The code of a tile for pixels of type ``element``, u8 or i8. Imports numba."""
    from llvmlite import ir
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.byte_access import WORD
    from cnnc.runtime.cuda.byte_words import emit_dot
    from cnnc.runtime.cuda.intrinsics import I32, INT, assembly, device_function

    rows, columns, pitch = tile.rows, tile.columns, tile.pitch
    kind = types.UniTuple(WORD, rows * columns)
    four = ir.LiteralStructType([I32] * 4)

    def zero(builder: Any) -> Any:
        return ir.Constant(ir.ArrayType(I32, rows * columns), [0] * (rows * columns))

    def read(builder: Any, address: Any, offset: int) -> list[Any]:
        """Four words of shared memory."""
        text = f"ld.shared.v4.u32 {{$0,$1,$2,$3}}, [$4+{offset}];"
        found = assembly(builder, four, text, "=r,=r,=r,=r,l", [address], has_effect=True)
        return [builder.extract_value(found, index) for index in range(4)]

    def multiply_dots(builder: Any, sums: Any, weights: Any, pixels: Any) -> Any:
        totals = cgutils.unpack_tuple(builder, sums)
        for block in range(tile.blocks):
            left, right = [], []
            for pair in range(rows // 2):
                left += read(builder, weights, (block * tile.channels + 2 * pair) * LANES)
            for pair in range(columns // 2):
                right += read(builder, pixels, (block * pitch + 2 * pair * tile.column_threads) * LANES)
            for word in range(2):
                for column in range(columns):
                    for row in range(rows):
                        place = column * rows + row
                        factors = left[2 * row + word], right[2 * column + word]
                        totals[place] = emit_dot(builder, *factors, totals[place], element)
        return cgutils.pack_array(builder, totals)

    def product(builder: Any, a: list[Any], b: list[Any], c: list[Any]) -> list[Any]:
        """m16n8k32: a has four words, b two, c four sums: rows g and g + 8, of each two columns."""
        types_of = f"s32.s8.{element.replace('i', 's')}.s32"
        if capability(target) >= (8, 0):
            text = f"mma.sync.aligned.m16n8k32.row.col.{types_of} {{$0,$1,$2,$3}}, {{$4,$5,$6,$7}}, {{$8,$9}}, "
            text += "{$10,$11,$12,$13};"
            found = assembly(builder, four, text, "=r,=r,=r,=r" + ",r" * 10, [*a, *b, *c], has_effect=True)
            return [builder.extract_value(found, index) for index in range(4)]
        two = ir.LiteralStructType([I32] * 2)
        text = f"mma.sync.aligned.m8n8k16.row.col.{types_of} {{$0,$1}}, {{$2}}, {{$3}}, {{$4,$5}};"
        totals = list(c)
        for half in range(2):
            for word in range(2):
                values = [a[2 * word + half], b[word], *totals[2 * half : 2 * half + 2]]
                found = assembly(builder, two, text, "=r,=r" + ",r" * 4, values, has_effect=True)
                totals[2 * half : 2 * half + 2] = [builder.extract_value(found, index) for index in range(2)]
        return totals

    def places_of(group: int, pair: int, number: int) -> list[int]:
        """Of the sums of rows g and g + 8, channels 2 * pair and the next, and of columns 2 t and 2 t + 1."""
        return [(4 * group + 2 * odd + number) * rows + 2 * pair + half for half in range(2) for odd in range(2)]

    def multiply_matrices(builder: Any, sums: Any, weights: Any, pixels: Any) -> Any:
        totals = cgutils.unpack_tuple(builder, sums)
        for chunk in range(tile.blocks // CHUNK):
            at = chunk * CHUNK_BYTES * tile.channels, chunk * CHUNK_BYTES * pitch
            left = [read(builder, weights, at[0] + pair * WARP * 16) for pair in range(rows // 2)]
            for group in range(columns // 4):
                right = read(builder, pixels, at[1] + group * _SLOTS * LANES)
                for pair in range(rows // 2):
                    for number in range(2):  # of the two slots
                        places = places_of(group, pair, number)
                        c = [totals[place] for place in places]
                        found = product(builder, left[pair], right[2 * number : 2 * number + 2], c)
                        for place, value in zip(places, found):
                            totals[place] = value
        return cgutils.pack_array(builder, totals)

    def of_thread(compute: Callable[[Any, Any], Any]) -> Any:
        return device_function(INT, [INT], compute)

    def number(value: int) -> Any:
        return ir.Constant(ir.IntType(64), value)

    def parts(builder: Any, thread: Any) -> tuple[Any, Any, Any, Any]:
        """(row of warps, column of warps, g, t) for mma, (row, 0, 0, column) for dp4a; threads are not negative."""
        if not tile.tensor:
            width = number(tile.column_threads)
            return builder.udiv(thread, width), number(0), number(0), builder.urem(thread, width)
        warp, lane = builder.udiv(thread, number(WARP)), builder.urem(thread, number(WARP))
        width = number(tile.column_threads // 4)
        row, column = builder.udiv(warp, width), builder.urem(warp, width)
        return row, column, builder.udiv(lane, number(4)), builder.urem(lane, number(4))

    def sum_of(builder: Any, *terms: tuple[Any, int]) -> Any:
        total = number(0)
        for value, factor in terms:
            total = builder.add(total, builder.mul(value, number(factor)))
        return total

    warp_pixels = 4 * columns

    def first_row(builder: Any, thread: Any) -> Any:
        row, _, g, _ = parts(builder, thread)
        return sum_of(builder, (row, 8 * rows if tile.tensor else rows), (g, rows))

    def first_column(builder: Any, thread: Any) -> Any:
        _, column, _, t = parts(builder, thread)
        return sum_of(builder, (column, warp_pixels), (t, 1))

    def weights_at(builder: Any, thread: Any) -> Any:
        row, _, g, t = parts(builder, thread)
        if not tile.tensor:
            return sum_of(builder, (row, rows * LANES))
        return sum_of(builder, (row, 8 * rows * CHUNK_BYTES), (g, 64), (t, 16))

    def slots_at(builder: Any, thread: Any) -> Any:
        _, column, g, t = parts(builder, thread)
        if not tile.tensor:
            return sum_of(builder, (t, 2 * LANES))
        return sum_of(builder, (column, warp_pixels * LANES), (g, 2 * LANES), (t, pitch * LANES))

    def slot(builder: Any, pixel: Any) -> Any:
        # dp4a: pixels c and c + 8 of sixteen are neighbours; mma: pixels t, t + 4, t + 8 and t + 12.
        width = number(4 if tile.tensor else 8)
        within = builder.urem(pixel, number(_SLOTS))
        base = builder.sub(pixel, within)
        turned = sum_of(
            builder, (builder.urem(within, width), _SLOTS // width.constant), (builder.udiv(within, width), 1)
        )
        return builder.add(base, turned)

    multiply = multiply_matrices if tile.tensor else multiply_dots
    return TileCode(
        zero=device_function(kind, [], zero),
        multiply=device_function(kind, [kind, INT, INT], multiply),
        first_row=of_thread(first_row),
        first_column=of_thread(first_column),
        weights_at=of_thread(weights_at),
        slots_at=of_thread(slots_at),
        slot=of_thread(slot),
    )
