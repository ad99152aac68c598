"""The products of Winograd's method as one function, whichever register tile makes them."""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.tile import Tile, emit_tile
from cnnc.runtime.cpu.vector import VectorBuilder
from cnnc.runtime.cpu.winograd_arithmetic import WinogradArithmetic
from cnnc.runtime.cpu.winograd_taps_tile import emit_taps_tile
from cnnc.runtime.cpu.winograd_transform import TileShape

PRODUCTS_ARGS = (
    "step",  # the position, or with taps the row of positions
    "v",  # address of the tiles' vectors at the first position
    "v_position",  # bytes between positions
    "weights",  # address of the packed weights
    "table",  # address of the entries, as of ``tile``
    "entries",  # number of entries
    "m",  # address of the tiles' sums at the first position
    "m_position",  # bytes between positions
    "adds",  # whether sums of taps are added to those at m
    "m_block",  # bytes between blocks of output channels
    "ahead",  # address of the weights that are needed next
    "channels",  # of these
)


def emit_products(
    b: VectorBuilder,
    shape: TileShape,
    arithmetic: WinogradArithmetic,
    tile: tuple[int, int],
    taps: bool,
    *values: ir.Value,
) -> None:
    """Sums of (tiles, blocks) at one position, or of (tiles, 1) at a row of positions from untransformed ``taps``."""
    a = dict(zip(PRODUCTS_ARGS, values))
    columns, blocks = tile
    if taps:
        assert blocks == 1, "tiles that transform weights have one block"
        names = "step v v_position weights table entries m m_position adds ahead channels".split()
        emit_taps_tile(b, shape, columns, *(a[name] for name in names))
        return
    zero, pixel = b.index(0), b.index(b.target.vector_bytes)
    emit_tile(
        b,
        Tile(1, columns, blocks, arithmetic.pixel_bytes(b), "none", False, raw=True, element=arithmetic.factors),
        *(a["v"], zero, b.index(4), a["weights"], a["table"], a["entries"], zero, zero, zero),
        *(a["m"], pixel, zero, a["m_block"], b.index(columns), b.index(1), zero, zero, zero),
    )
