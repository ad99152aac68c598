"""The register tile of float32 matrix products: what a thread of a block computes.

A block multiplies a panel A of shared memory by a panel B, both with ``DEPTH`` rows: rows of A hold weights of
neighbouring output channels, rows of B inputs of neighbouring pixels. Each thread sums ``rows`` x ``columns`` products
in registers. It takes its rows and columns in fours, those of one thread ``4 * row_threads`` (``4 * column_threads``)
apart: so eight neighbouring threads read 128 neighbouring bytes, and no bank is asked twice (Volkov and Demmel,
Benchmarking GPUs to tune dense linear algebra, 2008, for the tile; NVIDIA's CUTLASS documentation for the order of
threads).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.kernel import Params

DEPTH = 8
"""Rows of a panel: input channels of a step."""

PADDING = 4
"""Floats between two rows of B beyond its pixels: four threads that store four channels of a pixel hit other banks."""


@dataclass(frozen=True, slots=True)
class BlockTile:
    """Shape of the tile of a block and of its threads.

    Attributes:
        rows, columns: output channels and pixels of a thread, multiples of 4.
        row_threads, column_threads: threads of a block along channels and pixels.
        channel_padding: floats between two rows of A beyond its channels; a multiple of 4.
    """

    rows: int
    columns: int
    row_threads: int
    column_threads: int
    channel_padding: int = 0

    @property
    def channels(self) -> int:
        """Output channels of a block."""
        return self.rows * self.row_threads

    @property
    def pixels(self) -> int:
        """Output pixels of a block."""
        return self.columns * self.column_threads

    @property
    def threads(self) -> int:
        return self.row_threads * self.column_threads

    @property
    def weight_loads(self) -> int:
        """Quads of weights that a thread copies in a step."""
        return DEPTH * self.channels // 4 // self.threads

    @property
    def pixel_loads(self) -> int:
        """Quads of input channels that a thread copies in a step."""
        return DEPTH * self.pixels // 4 // self.threads

    @property
    def pixel_pitch(self) -> int:
        """Floats from one row of B to the next."""
        return self.pixels + PADDING

    @property
    def channel_pitch(self) -> int:
        """Floats from one row of A to the next."""
        return self.channels + self.channel_padding

    @property
    def stage_bytes(self) -> int:
        """Of A and B together; two stages are in use."""
        return 4 * DEPTH * (self.channel_pitch + self.pixel_pitch)


def tile_of(params: Params) -> BlockTile:
    """The tile that a kernel's compile-time parameters name."""
    names = ("rows", "columns", "row_threads", "column_threads")
    rows, columns, row_threads, column_threads = (int(params[name]) for name in names)
    return BlockTile(rows, columns, row_threads, column_threads)


def tile_params(tile: BlockTile) -> dict[str, int | str]:
    """The compile-time parameters of a tile."""
    names = ("rows", "columns", "row_threads", "column_threads")
    return {name: getattr(tile, name) for name in names}


def register_tile(tile: BlockTile) -> tuple[Callable[[], Any], Callable[[Any, int, int], Any]]:
    """(zero, multiply) for Numba CUDA code.

    ``zero()`` is a tile of zeros, a tuple of rows x columns float32. ``multiply(tile, a, b)`` adds the products of a
    step; a and b are the addresses of the thread's first quads in the panels.
    """
    from llvmlite import ir
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.intrinsics import F32, FLOAT, INT, assembly, device_function

    kind = types.UniTuple(FLOAT, tile.rows * tile.columns)
    quad = ir.LiteralStructType([F32] * 4)

    def zero(builder: Any) -> Any:
        size = tile.rows * tile.columns
        return ir.Constant(ir.ArrayType(F32, size), [0.0] * size)

    def fragment(builder: Any, address: Any, offset: int, count: int, distance: int) -> list[Any]:
        """``count`` floats of a panel's row: quads ``distance`` floats apart."""
        found = []
        for first in range(count // 4):
            text = f"ld.shared.v4.f32 {{$0,$1,$2,$3}}, [$4+{4 * (offset + first * distance)}];"
            loaded = assembly(builder, quad, text, "=f,=f,=f,=f,l", [address], has_effect=True)
            found += [builder.extract_value(loaded, index) for index in range(4)]
        return found

    def multiply(builder: Any, sums: Any, a: Any, b: Any) -> Any:
        registers = cgutils.unpack_tuple(builder, sums)
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32")
        for step in range(DEPTH):
            left = fragment(builder, a, step * tile.channel_pitch, tile.rows, 4 * tile.row_threads)
            right = fragment(builder, b, step * tile.pixel_pitch, tile.columns, 4 * tile.column_threads)
            for row in range(tile.rows):
                for column in range(tile.columns):
                    place = row * tile.columns + column
                    registers[place] = builder.call(fma, [left[row], right[column], registers[place]])
        return cgutils.pack_array(builder, registers)

    return device_function(kind, [], zero), device_function(kind, [kind, INT, INT], multiply)
