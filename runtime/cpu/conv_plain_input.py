"""conv.f32.blocked.plain_input: convolution of a plain (NCHW) map of known size with blocked output, read in place.

The kernel of a model's first layer. Inputs are broadcast, vectors run along output channels, so three input channels
cost no more than their products. A work item is a group of output rows of one image times a group of output channels.
Window rows in the padding are not listed, and columns in it are not compiled (see ``plain_tile``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div, floor_div, round_up
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cpu.window_parts import parse_places
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.plain_input"
BUFFERS = ("x", "weights", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "C", "D", "H", "W", "YB", "OD", "OH", "OW"),
    *("KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW", "PD", "PH", "PW"),
    *("item_rows", "oc_tiles", "alpha", "beta"),
    *GAPS,
)
"""C: channels of x, all of which every output reads. YB: channel blocks of y. P*: padding before. item_rows, oc_tiles:
output rows and output tiles of a work item. residual and slopes are 0 where the variant has none. Variant parameters:
columns, blocks (of a tile), stride, dilation (horizontal: SW, DW), places (``window_parts.format_places``, which knows
KW), activation, residual (0 or 1), lanes."""


def pack_plain_input(w: NDArray[Any], lanes: int, blocks: int) -> NDArray[np.float32]:
    """``w`` [OC, C, KD, KH, KW] (or fewer spatial axes) as [OC tile][C][KD][KH][KW][block][lane], pad lanes zero."""
    channels, products = w.shape[0], int(np.prod(w.shape[1:]))
    width = blocks * lanes
    padded = np.zeros((-(-channels // width) * width, products), np.float32)
    padded[:channels] = w.reshape(channels, products)
    return np.ascontiguousarray(np.swapaxes(padded.reshape(-1, width, products), 1, 2)).reshape(-1)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    oc_groups = ceil_div(floor_div(s["YB"], int(params["blocks"])), s["oc_tiles"])
    return s["N"] * s["OD"] * ceil_div(s["OH"], s["item_rows"]) * oc_groups


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    return round_up(s["C"] * s["KD"] * s["KH"] * 16, 64)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    weight_bytes = s["C"] * s["KD"] * s["KH"] * s["KW"] * s["YB"] * int(params["lanes"]) * 4
    return (
        images_access("x", s, s["C"] * s["D"] * s["H"] * s["W"] * 4, False),
        Access("weights", 0, weight_bytes, False),
        *epilogue_footprint(s, params, s["OD"] * s["OH"] * s["OW"]),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.plain_tile import PLAIN_TILE_ARGS, emit_place_number, emit_plain_tile
    from cnnc.runtime.cpu.tile import Tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    columns, blocks, dilation = int(params["columns"]), int(params["blocks"]), int(params["dilation"])
    tile = Tile(1, columns, blocks, int(params["stride"]) * 4, str(params["activation"]), bool(params["residual"]))
    runs = parse_places(str(params["places"]))
    places = [ranges for _, ranges in runs]
    firsts = [sum(tiles for tiles, _ in runs[:number]) for number in range(len(runs))]
    run_tile = intrinsic(
        target, lambda b, *values: emit_plain_tile(b, tile, places, dilation, *values), len(PLAIN_TILE_ARGS)
    )
    place_of = intrinsic(target, lambda b, number: emit_place_number(b, firsts, number), 1, returns=True)
    tile_columns, tile_blocks = constant(target, columns), constant(target, blocks)
    vector_bytes = constant(target, target.vector_bytes)
    store_index = memory_ops(target).store_index

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        COLUMNS, BLOCKS, BYTES = tile_columns(), tile_blocks(), vector_bytes()
        x, weights, bias, residual, slopes, y = args[0], args[1], args[2], args[3], args[4], args[5]
        C, D, H, W, YB, OD, OH, OW = args[7], args[8], args[9], args[10], args[11], args[12], args[13], args[14]
        KD, KH, KW, SD, SH, SW = args[15], args[16], args[17], args[18], args[19], args[20]
        DD, DH, PD, PH, PW = args[21], args[22], args[24], args[25], args[26]
        item_rows, oc_tiles, alpha, beta = args[27], args[28], args[29], args[30]
        x_gap, y_gap, residual_gap = args[31] * 4, args[32] * 4, args[33] * 4

        row_groups = (OH + item_rows - 1) // item_rows
        all_oc_tiles = YB // BLOCKS
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles
        row_weights = KW * BLOCKS * BYTES
        tile_weights = C * KD * KH * row_weights
        y_block = OD * OH * OW * BYTES

        for item in range(begin, end):
            rest = item // oc_groups
            oc_begin = (item - rest * oc_groups) * oc_tiles
            oc_end = min(oc_begin + oc_tiles, all_oc_tiles)
            row_begin = rest % row_groups * item_rows
            rest = rest // row_groups
            depth = rest % OD
            image = rest // OD
            image_x = x + image * (C * D * H * W * 4 + x_gap)
            for row in range(row_begin, min(row_begin + item_rows, OH)):
                count = 0
                weight_row = 0
                for channel in range(C):
                    for kd in range(KD):
                        z = depth * SD + kd * DD - PD
                        for ky in range(KH):
                            iy = row * SH + ky * DH - PH
                            if 0 <= z < D and 0 <= iy < H:
                                entry = scratch + count * 16
                                store_index(entry, ((channel * D + z) * H + iy) * W * 4)
                                store_index(entry + 8, weight_row)
                                count += 1
                            weight_row += row_weights
                for oc in range(oc_begin, oc_end):
                    lanes_offset = oc * BLOCKS * BYTES
                    for column in range(0, OW, COLUMNS):
                        pixel = (((image * YB + oc * BLOCKS) * OD + depth) * OH + row) * OW + column
                        run_tile(
                            image_x + (column * SW - PW) * 4,
                            weights + oc * tile_weights,
                            scratch,
                            count,
                            place_of(column // COLUMNS),
                            bias + lanes_offset,
                            slopes + lanes_offset,
                            residual + image * residual_gap + pixel * BYTES,
                            y + image * y_gap + pixel * BYTES,
                            BYTES,
                            y_block,
                            OW - column,
                            alpha,
                            beta,
                        )

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
