"""The tile of a warp in products on tensor cores: what ``mma.sync`` multiplies, and how that lies in shared memory.

Rows of the product are pixels, columns are output channels. A fragment of the result holds two neighbouring columns of
a row in a thread (PTX ISA, mma.m16n8k16). Two column tiles of eight are joined so that these are four neighbouring
channels: of 16 channels, thread t of a row's four has 4 t to 4 t + 3, and column c of the first and the second tile is
channel 4 (c / 2) + c mod 2, and + 2. So a thread's results are quads, a row's four threads write two whole sectors of a
blocked tensor, and eight rows eight neighbouring sectors.

The inner dimension is cut to *chunks* of 16 bytes, 8 elements of 16 bits or 4 of tf32. The panel of pixels lies
[chunk][pixel][16 bytes]: eight pixels of a chunk are a matrix of ``ldmatrix``, 128 bytes that hit every bank once. A
product takes two chunks. Weights are packed in the order of fragments, a quad of words a thread: [step of two
chunks][16 channels][thread][4 words].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.conv_packing import InputBlocks
from cnnc.runtime.cuda.target import LANES, WARP, capability
from cnnc.runtime.cuda.tensor_precision import TENSOR_PRECISIONS, TensorPrecision, rounded_bits
from cnnc.runtime.kernel import Params, Target

CHUNK_BYTES = 16
"""Of a row of a matrix that ``ldmatrix`` loads."""

_ROWS, _COLUMNS = 16, 16
"""Pixels of a row fragment; channels of two column tiles."""

_PADDING = 64
"""Bytes between two chunks of tf32: of a pixel's block, a pair of threads stores a chunk each."""


@dataclass(frozen=True, slots=True)
class WarpTile:
    """Shape of the tile of a warp, and how many warps of a block stand side by side.

    Attributes:
        pixels, channels: of a warp, multiples of 16.
        pixel_warps, channel_warps: warps of a block.
        blocks: blocks of 8 input channels in a step; even for types of 16 bits, whose product takes 16 channels.
        precision: a name in ``TENSOR_PRECISIONS``.
    """

    pixels: int
    channels: int
    pixel_warps: int
    channel_warps: int
    blocks: int
    precision: str

    def __post_init__(self) -> None:
        threads, quads = self.threads, self.weight_bytes // CHUNK_BYTES
        is_shared_out = 2 * self.block_pixels in (threads, 2 * threads) and quads % threads == 0
        is_whole = self.pixels % _ROWS == 0 and self.channels % _COLUMNS == 0
        if not (is_whole and is_shared_out and self.depth * self.factors.bytes % (2 * CHUNK_BYTES) == 0):
            raise InternalError(f"the threads of {self} do not share its copies evenly")

    @property
    def factors(self) -> TensorPrecision:
        return TENSOR_PRECISIONS[self.precision]

    @property
    def block_pixels(self) -> int:
        """Pixels of a thread block."""
        return self.pixels * self.pixel_warps

    @property
    def block_channels(self) -> int:
        """Output channels of a thread block."""
        return self.channels * self.channel_warps

    @property
    def threads(self) -> int:
        return WARP * self.pixel_warps * self.channel_warps

    @property
    def rows(self) -> int:
        """Channels of a thread: quads of neighbours, 16 channels apart."""
        return self.channels // 4

    @property
    def columns(self) -> int:
        """Pixels of a thread, 8 apart."""
        return self.pixels // 8

    @property
    def depth(self) -> int:
        """Input channels of a step."""
        return LANES * self.blocks

    @property
    def steps(self) -> int:
        """Products along the inner dimension in a step, of two chunks each."""
        return self.depth * self.factors.bytes // (2 * CHUNK_BYTES)

    @property
    def chunk_pitch(self) -> int:
        """Bytes from one chunk of the panel of pixels to the next."""
        return CHUNK_BYTES * self.block_pixels + (_PADDING if self.factors.bytes == 4 else 0)

    @property
    def pixel_bytes(self) -> int:
        """Of the panel of pixels."""
        return 2 * self.steps * self.chunk_pitch

    @property
    def weight_bytes(self) -> int:
        """Of the panel of weights."""
        return self.depth * self.block_channels * self.factors.bytes

    @property
    def stage_bytes(self) -> int:
        """Of both panels; two stages are in use."""
        return self.pixel_bytes + self.weight_bytes

    @property
    def weight_loads(self) -> int:
        """Quads of words of weights that a thread copies in a step."""
        return self.weight_bytes // CHUNK_BYTES // self.threads

    @property
    def pixel_loads(self) -> int:
        """Pixels of which a thread copies the half of every block, 1 or 2."""
        return 2 * self.block_pixels // self.threads

    @property
    def words(self) -> int:
        """Registers of results of a thread."""
        return self.rows * self.columns


def warp_tile_of(params: Params) -> WarpTile:
    """The tile that a kernel's compile-time parameters name."""
    names = ("pixels", "channels", "pixel_warps", "channel_warps", "blocks")
    pixels, channels, pixel_warps, channel_warps, blocks = (int(params[name]) for name in names)
    return WarpTile(pixels, channels, pixel_warps, channel_warps, blocks, str(params["precision"]))


def tile_params(tile: WarpTile) -> dict[str, int | str]:
    """The inverse of ``warp_tile_of``."""
    return {
        "pixels": tile.pixels,
        "channels": tile.channels,
        "pixel_warps": tile.pixel_warps,
        "channel_warps": tile.channel_warps,
        "blocks": tile.blocks,
        "precision": tile.precision,
    }


def pack_fragments(weights: NDArray[Any], source: InputBlocks, tile: WarpTile) -> NDArray[np.uint32]:
    """Weights [OC, IC/groups, *K], rounded, in the order of their use; absent channels weigh 0.

    [group][tile of channels][tap][step of ``blocks``][step of two chunks][16 channels][thread][4 words]
    """
    groups, oc, ic = source.groups, weights.shape[0] // source.groups, weights.shape[1]
    tiles, stages = -(-oc // tile.block_channels), -(-source.blocks // tile.blocks)
    taps = int(np.prod(weights.shape[2:]))
    padded = np.zeros((groups, tiles * tile.block_channels, stages * tile.depth, taps), np.float32)
    for group in range(groups):
        lanes = np.asarray(source.lane_of[group * ic : (group + 1) * ic]) - group * source.blocks * LANES
        padded[group, :oc, lanes] = weights[group * oc : (group + 1) * oc].reshape(oc, ic, taps).swapaxes(0, 1)
    # Channels are (16 channels, column / 2, column tile, column mod 2); inputs (step, chunk, word, element of a word).
    channels = (tile.block_channels // _COLUMNS, 4, 2, 2)
    inputs = (stages, tile.steps, 2, 4, tile.factors.word_elements)
    parts = rounded_bits(padded, tile.precision).reshape(groups, tiles, *channels, *inputs, taps)
    ordered = np.ascontiguousarray(parts.transpose(0, 1, 11, 6, 7, 2, 3, 5, 9, 4, 8, 10))
    return ordered.reshape(-1).view(np.uint32)


def matrix_words(columns: int, depth: int, tile: WarpTile) -> int:
    """Words of ``pack_fragments`` of a matrix [N, K]."""
    tiles, stages = -(-columns // tile.block_channels), -(-depth // tile.depth)
    return tiles * stages * tile.weight_bytes // 4


def warp_tile_arithmetic(tile: WarpTile, target: Target) -> tuple[Callable[[], Any], Callable[[Any, int, int], Any]]:
    """(zero, multiply) for Numba CUDA code.

    ``zero()`` is a tile of zeros, a tuple of rows x columns float32 of a thread. ``multiply(tile, a, b)`` adds the
    products of a step; a is the address of the thread's row of the panel of pixels, b of its first quad of weights.
    """
    from llvmlite import ir
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I32, INT, assembly, device_function

    kind = types.UniTuple(FLOAT, tile.words)
    words, floats = ir.LiteralStructType([I32] * 4), ir.LiteralStructType([F32] * 4)
    pairs = tile.channels // _COLUMNS
    name = tile.precision
    # Turing multiplies 8 elements of f16 at a time: the fragments of 16 are those of 8 and of 8 more.
    is_halved = capability(target) < (8, 0)
    depth = CHUNK_BYTES // tile.factors.bytes * (1 if is_halved else 2)
    shape = f"mma.sync.aligned.m16n8k{depth}.row.col.f32.{name}.{name}.f32"

    def zero(builder: Any) -> Any:
        return ir.Constant(ir.ArrayType(F32, tile.words), [0.0] * tile.words)

    def load(builder: Any, text: str, address: Any) -> list[Any]:
        found = assembly(builder, words, text, "=r,=r,=r,=r,l", [address], has_effect=True)
        return [builder.extract_value(found, index) for index in range(4)]

    def product(builder: Any, left: list[Any], right: list[Any], sums: list[Any]) -> list[Any]:
        count = len(left)
        names = [f"${index}" for index in range(8 + count + len(right))]
        a, b, c = names[4 : 4 + count], names[4 + count : -4], names[-4:]
        text = f"{shape} {{$0,$1,$2,$3}}, {{{','.join(a)}}}, {{{','.join(b)}}}, {{{','.join(c)}}};"
        constraints = ",".join(["=f"] * 4 + ["r"] * (count + len(right)) + ["f"] * 4)
        found = assembly(builder, floats, text, constraints, [*left, *right, *sums])
        return [builder.extract_value(found, index) for index in range(4)]

    def multiply(builder: Any, sums: Any, a: Any, b: Any) -> Any:
        registers = cgutils.unpack_tuple(builder, sums)
        for step in range(tile.steps):
            first = 2 * step * tile.chunk_pitch
            left = [
                load(
                    builder,
                    f"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{$0,$1,$2,$3}}, [$4+{first + row * CHUNK_BYTES}];",
                    a,
                )
                for row in range(0, tile.pixels, _ROWS)
            ]
            quads = step * tile.block_channels // _COLUMNS
            right = [
                load(builder, f"ld.shared.v4.b32 {{$0,$1,$2,$3}}, [$4+{(quads + pair) * CHUNK_BYTES * WARP}];", b)
                for pair in range(pairs)
            ]
            for number, rows in enumerate(left):
                for pair, columns in enumerate(right):
                    for half in range(2):
                        # Of a thread's four: two rows, 8 apart, of two channels.
                        places = [
                            (4 * pair + 2 * half + odd) * tile.columns + 2 * number + below
                            for below in range(2)
                            for odd in range(2)
                        ]
                        found = [registers[place] for place in places]
                        chunks = columns[2 * half : 2 * half + 2]
                        if is_halved:
                            found = product(builder, rows[:2], chunks[:1], found)
                            found = product(builder, rows[2:], chunks[1:], found)
                        else:
                            found = product(builder, rows, chunks, found)
                        for place, value in zip(places, found):
                            registers[place] = value
        return cgutils.pack_array(builder, registers)

    return device_function(kind, [], zero), device_function(kind, [kind, INT, INT], multiply)
