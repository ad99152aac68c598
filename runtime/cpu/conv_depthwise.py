"""conv.f32.blocked.depthwise, conv.u8.blocked.depthwise: one filter per channel, any window, stride, dilation, padding.

The output has the input's channel layout, so that weights are packed at the input's physical lanes. Window rows outside
the input are left out of the sum; tiles that touch the left or right border read zeros there. Nothing is copied.
Work items go through all channels of a group of rows before the next, as those of 1x1 convolutions do with pixels, so
that a thread mostly reads what it wrote (``work_division``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div, round_up
from cnnc.runtime.cpu.conv_footprint import GAPS, images_access, residual_inplace
from cnnc.runtime.cpu.tile_table import element_bytes, element_of, pixel_bytes
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.depthwise"
BUFFERS = ("x", "weights", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "CB", "D", "H", "W", "OD", "OH", "OW"),
    *("KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW", "PD", "PH", "PW"),
    *("item_rows", "alpha", "beta"),
    *GAPS,
)
"""CB: channel blocks. P*: padding before. item_rows: output rows of one work item. residual and slopes are 0 where the
variant has none. Variant parameters: columns (pixels of a tile), window, stride, dilation (horizontal; window 0 takes
all three from KW, SW, DW), activation, residual (0 or 1), lanes."""


def pack_depthwise(
    w: NDArray[Any],
    lanes: int,
    input_lanes: Sequence[int] | None = None,
    blocks: int | None = None,
    dtype: type[np.float32 | np.int32] = np.float32,
) -> NDArray[Any]:
    """``w`` [C, 1, KD, KH, KW] (or fewer spatial axes) as [channel block][KD][KH][KW][lane], pad lanes zero.

    ``input_lanes`` gives the physical lane of each channel, ``blocks`` the number of channel blocks, ``dtype`` the type
    of packed weights: int32 for bytes.
    """
    channels, window = w.shape[0], w.shape[2:]
    where = np.arange(channels) if input_lanes is None else np.asarray(input_lanes)
    blocks = blocks or int(where.max()) // lanes + 1
    physical = np.zeros((blocks * lanes, *window), dtype)
    physical[where] = np.asarray(w, dtype)[:, 0]
    return np.ascontiguousarray(np.moveaxis(physical.reshape(blocks, lanes, *window), 1, -1))


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return s["N"] * s["CB"] * s["OD"] * ceil_div(s["OH"], s["item_rows"])


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    return round_up(s["KD"] * s["KH"] * 16, 64) + 64


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    block_bytes = s["CB"] * int(params["lanes"]) * 4
    size, pixel = element_bytes(params), s["CB"] * pixel_bytes(params)
    y_image = s["OD"] * s["OH"] * s["OW"] * pixel
    accesses = [
        images_access("x", s, s["D"] * s["H"] * s["W"] * pixel, False, size),
        Access("weights", 0, s["KD"] * s["KH"] * s["KW"] * block_bytes, False),
        Access("bias", 0, block_bytes, False),
        images_access("y", s, y_image, True, size),
    ]
    if params["residual"]:
        accesses.append(images_access("residual", s, y_image, False))
    if params["activation"] in ("prelu", "requantize"):
        accesses.append(Access("slopes", 0, block_bytes, False))
    return tuple(accesses)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.depthwise_tile import DEPTHWISE_ARGS, EVERY_COLUMN, DepthwiseTile, emit_depthwise_tile
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.vector import constant, intrinsic

    tile_columns = constant(target, int(params["columns"]))
    vector_bytes, block_pixel = constant(target, target.vector_bytes), constant(target, pixel_bytes(params))
    element = constant(target, element_bytes(params))

    window, dilation = int(params["window"]), int(params["dilation"])

    def tile_function(edge: int, partial: bool) -> Any:
        tile = DepthwiseTile(
            int(params["columns"]),
            window,
            int(params["stride"]),
            dilation,
            edge,
            partial,
            str(params["activation"]),
            bool(params["residual"]),
            element_of(params),
        )
        return intrinsic(target, lambda b, *values: emit_depthwise_tile(b, tile, *values), len(DEPTHWISE_ARGS))

    reach = (window - 1) * dilation if window else 0
    # The edge tile serves the usual borders: full tiles that hang over by less than the window.
    inner_tile, edge_tile, border_tile = (
        tile_function(0, False),
        tile_function(reach, False),
        tile_function(EVERY_COLUMN, True),
    )
    edge_reach = constant(target, reach)
    memory = memory_ops(target)
    store_index, zero_vectors = memory.store_index, memory.zero_vectors

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        COLUMNS, LANES_BYTES, BYTES = tile_columns(), vector_bytes(), block_pixel()
        x, weights, bias, residual, slopes, y = args[0], args[1], args[2], args[3], args[4], args[5]
        CB, D, H, W, OD, OH, OW = args[7], args[8], args[9], args[10], args[11], args[12], args[13]
        KD, KH, KW, SD, SH, SW = args[14], args[15], args[16], args[17], args[18], args[19]
        DD, DH, DW, PD, PH, PW = args[20], args[21], args[22], args[23], args[24], args[25]
        item_rows, alpha, beta = args[26], args[27], args[28]
        x_gap, y_gap, residual_gap = args[29] * element(), args[30] * element(), args[31] * element()

        # One thread computes whole maps: rows that two groups read are still in its cache.
        is_whole = end - begin == args[6] * CB * OD * ((OH + item_rows - 1) // item_rows)
        if is_whole:
            item_rows = max(OH, 1)
            end = args[6] * CB * OD
        zeros = scratch
        table = scratch + 64
        zero_vectors(zeros, 1)
        row_groups = (OH + item_rows - 1) // item_rows
        span = (COLUMNS - 1) * SW + (KW - 1) * DW
        for item in range(begin, end):
            rest = item // CB
            block = item - rest * CB
            row_begin = rest % row_groups * item_rows
            row_end = min(row_begin + item_rows, OH)
            rest = rest // row_groups
            depth = rest % OD
            image = rest // OD
            plane = image * CB + block
            block_x = x + image * x_gap + plane * D * H * W * BYTES
            image_y = y + image * y_gap
            image_residual = residual + image * residual_gap
            block_y = ((plane * OD + depth) * OH) * OW * BYTES
            block_weights = weights + block * KD * KH * KW * LANES_BYTES
            for row in range(row_begin, row_end):
                rows = 0
                for kd in range(KD):
                    z = depth * SD + kd * DD - PD
                    if z < 0 or z >= D:
                        continue
                    for ky in range(KH):
                        iy = row * SH + ky * DH - PH
                        if iy < 0 or iy >= H:
                            continue
                        store_index(table + rows * 16, (z * H + iy) * W * BYTES)
                        store_index(table + rows * 16 + 8, (kd * KH + ky) * KW * LANES_BYTES)
                        rows += 1
                for column in range(0, OW, COLUMNS):
                    first = column * SW - PW
                    offset = block_y + (row * OW + column) * BYTES
                    full = column + COLUMNS <= OW
                    over = max(-first, first + span - (W - 1))
                    if full and over <= 0:
                        inner_tile(
                            block_x, first, W, block_weights, table, rows, KW, SW, DW, bias + block * LANES_BYTES,
                            slopes + block * LANES_BYTES, image_residual + offset, image_y + offset,
                            COLUMNS, zeros, alpha, beta,
                        )  # fmt: skip
                    elif full and over <= edge_reach():
                        edge_tile(
                            block_x, first, W, block_weights, table, rows, KW, SW, DW, bias + block * LANES_BYTES,
                            slopes + block * LANES_BYTES, image_residual + offset, image_y + offset,
                            COLUMNS, zeros, alpha, beta,
                        )  # fmt: skip
                    else:
                        border_tile(
                            block_x, first, W, block_weights, table, rows, KW, SW, DW, bias + block * LANES_BYTES,
                            slopes + block * LANES_BYTES, image_residual + offset, image_y + offset,
                            OW - column, zeros, alpha, beta,
                        )  # fmt: skip

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
