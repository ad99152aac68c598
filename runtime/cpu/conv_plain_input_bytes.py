"""conv.u8.blocked.plain_input: convolution of a plain image of bytes, for the first layer of a quantized network.

Other tiles of bytes sum over quads of four channels; an image's three, blocked, would be mostly padding. Here a quad is
four neighbouring pixels of one channel, read from the image's rows at any address, so that a window of 7 columns takes
two quads a row and channel: 42 steps where 7x7 pixels of padded channels are 49. Nothing is converted to blocks before.

A work item is a group of output rows of one image times a group of output channels. It copies the input rows that it
needs to scratch, with the zero point around them. Where columns are left over from quads, weights are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div, floor_div, round_up
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access
from cnnc.runtime.cpu.conv_packing import QUAD
from cnnc.runtime.cpu.tile_table import ENTRY_BYTES, element_of, pixel_bytes
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.u8.blocked.plain_input"
BUFFERS = ("x", "weights", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "C", "H", "W", "YB", "OH", "OW", "KH", "QW", "SH", "SW", "DH", "PH", "PW"),
    *("row_tiles", "oc_tiles", "alpha", "beta"),
    *GAPS,
    "fill",
)
"""C: channels of x, all of which every output reads. YB: channel blocks of y. QW: quads of a row of the window, whose
columns are neighbours. P*: padding before. row_tiles, oc_tiles: tiles of a work item, which has all columns. fill: the
zero point of x, which padding is made of. Variant parameters: rows, columns, blocks (of a tile), stride (SW), element,
activation (requantize), residual (0), lanes."""

_LINE = 64


def quads_of(columns: int) -> int:
    """Quads that a window's row of ``columns`` takes."""
    return -(-columns // QUAD)


def pack_plain_input_bytes(w: NDArray[Any], lanes: int, blocks: int) -> NDArray[np.int32]:
    """``w`` [OC, C, KH, KW] as [OC tile][C][QW][KH][block][lane][4], the last being the bytes of a word."""
    out_channels, channels, height, width = w.shape
    tile, quads = blocks * lanes, quads_of(width)
    tiles = -(-out_channels // tile)
    padded = np.zeros((tiles * tile, channels, height, quads * QUAD), np.int8)
    padded[:out_channels, :, :, :width] = w
    # [tile, lane, C, KH, QW, 4] -> [tile, C, QW, KH, lane, 4]
    ordered = padded.reshape(tiles, tile, channels, height, quads, QUAD).transpose(0, 2, 4, 3, 1, 5)
    return np.ascontiguousarray(ordered).reshape(-1).view(np.int32)


def _pitch(s: Mapping[str, Dim], params: Params) -> Dim:
    """Bytes of a copied row: all that the tiles of an output row read."""
    columns = int(params["columns"])
    return round_up((ceil_div(s["OW"], columns) * columns - 1) * s["SW"] + s["QW"] * QUAD, _LINE)


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    rows = (s["row_tiles"] * int(params["rows"]) - 1) * s["SH"] + (s["KH"] - 1) * s["DH"] + 1
    return round_up(s["C"] * s["QW"] * ENTRY_BYTES, _LINE) + s["C"] * rows * _pitch(s, params)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    oc_groups = ceil_div(floor_div(s["YB"], int(params["blocks"])), s["oc_tiles"])
    return s["N"] * ceil_div(s["OH"], s["row_tiles"] * int(params["rows"])) * oc_groups


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    weight_bytes = s["C"] * s["KH"] * s["QW"] * s["YB"] * int(params["lanes"]) * QUAD
    return (
        images_access("x", s, s["C"] * s["H"] * s["W"], False, 1),
        Access("weights", 0, weight_bytes, False),
        *epilogue_footprint(s, params, s["OH"] * s["OW"]),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.element_moves import element_moves
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.tile import TILE_ARGS, Tile, emit_tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    rows, columns, blocks, stride = (int(params[name]) for name in ("rows", "columns", "blocks", "stride"))
    tile = Tile(rows, columns, blocks, stride, str(params["activation"]), False, element=element_of(params))
    run_tile = intrinsic(target, lambda b, *values: emit_tile(b, tile, *values), len(TILE_ARGS))
    tile_rows, tile_columns = constant(target, rows), constant(target, columns)
    tile_blocks, vector_bytes = constant(target, blocks), constant(target, target.vector_bytes)
    output_pixel = constant(target, pixel_bytes(params))
    moves, store_index = element_moves(target, 1), memory_ops(target).store_index
    copy_bytes, fill_bytes = moves.copy_run, moves.fill_run

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        ROWS, COLUMNS, BLOCKS = tile_rows(), tile_columns(), tile_blocks()
        LANES_BYTES, BYTES = vector_bytes(), output_pixel()
        x, weights, bias, slopes, y = args[0], args[1], args[2], args[4], args[5]
        C, H, W, YB, OH, OW = args[7], args[8], args[9], args[10], args[11], args[12]
        KH, QW, SH, SW, DH, PH, PW = args[13], args[14], args[15], args[16], args[17], args[18], args[19]
        row_tiles, oc_tiles, alpha, beta = args[20], args[21], args[22], args[23]
        x_gap, y_gap, fill = args[24], args[25], args[27]

        pitch = (((OW + COLUMNS - 1) // COLUMNS * COLUMNS - 1) * SW + QW * 4 + 63) // 64 * 64
        slab_plane = ((row_tiles * ROWS - 1) * SH + (KH - 1) * DH + 1) * pitch
        entries = C * QW
        slab = scratch + (entries * 24 + 63) // 64 * 64
        row_groups = (OH + row_tiles * ROWS - 1) // (row_tiles * ROWS)
        all_oc_tiles = YB // BLOCKS
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles
        step_weights = KH * BLOCKS * LANES_BYTES
        y_block = OH * OW * BYTES
        low = min(PW, pitch)
        high = low + min(W, pitch - low)
        for channel in range(C):
            for quad in range(QW):
                entry = scratch + (channel * QW + quad) * 24
                store_index(entry, channel * slab_plane + quad * 4)
                store_index(entry + 8, (channel * QW + quad) * step_weights)
                store_index(entry + 16, KH)

        for item in range(begin, end):
            rest = item // oc_groups
            oc_begin = (item - rest * oc_groups) * oc_tiles
            image = rest // row_groups
            row_begin = (rest - image * row_groups) * row_tiles * ROWS
            row_end = min(row_begin + row_tiles * ROWS, OH)
            used_rows = ((row_end - row_begin + ROWS - 1) // ROWS * ROWS - 1) * SH + (KH - 1) * DH + 1
            for channel in range(C):
                plane = x + image * (C * H * W + x_gap) + channel * H * W
                for row in range(used_rows):
                    iy = row_begin * SH + row - PH
                    target_row = slab + channel * slab_plane + row * pitch
                    if iy < 0 or iy >= H:
                        fill_bytes(target_row, fill, pitch)
                        continue
                    fill_bytes(target_row, fill, low)
                    copy_bytes(target_row + low, plane + iy * W, high - low)
                    fill_bytes(target_row + high, fill, pitch - high)

            for oc in range(oc_begin, min(oc_begin + oc_tiles, all_oc_tiles)):
                lanes_offset = oc * BLOCKS * LANES_BYTES
                for row in range(row_begin, row_end, ROWS):
                    for column in range(0, OW, COLUMNS):
                        pixel = ((image * YB + oc * BLOCKS) * OH + row) * OW + column
                        run_tile(
                            slab + (row - row_begin) * SH * pitch + column * SW,
                            SH * pitch,
                            DH * pitch,
                            weights + oc * entries * step_weights,
                            scratch,
                            entries,
                            bias + lanes_offset,
                            slopes + lanes_offset,
                            0,
                            y + image * y_gap + pixel * BYTES,
                            BYTES,
                            OW * BYTES,
                            y_block,
                            OW - column,
                            OH - row,
                            0,
                            alpha,
                            beta,
                        )

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes)
