"""conv.f32, conv.bf16 and conv.u8.blocked.direct: blocked output, any window, stride, dilation, padding and groups.

A work item is a group of output rows and columns of one image times a group of output channels. It copies the input
rows that it needs into scratch, with ``fill`` where the padding is and split into the phases of the horizontal stride
(phase q holds the columns q, q+SW, ...), so that the register tile always walks unit-stride pixels and meets no border.
The copy costs one pass over inputs that are used KH*KW*OC/lanes times. It rounds them where products are of bfloat16.

Weights are packed [OC tile][segment][KD][KH][KW][input lane][block][lane]: a *segment* is a run of input lanes of one
channel block (of consecutive channels, if the input is plain). Segments hold exact channels only, so pad lanes are
never read, and each output tile has its own list, so that groups need nothing else.

The input is blocked too, or plain (``input_block=1``: NCHW read as blocks of one channel), which is the better choice
for a model's first layer: three channels padded to a block would waste most of the tile's work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, floor_div, round_up
from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu.conv_footprint import GAPS, conv_footprint, residual_inplace
from cnnc.runtime.cpu.tile_table import (
    copied_pixel_bytes,
    element_bytes,
    element_of,
    has_bfloat_products,
    has_wide_sums,
    pixel_bytes,
    products_of,
)
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.direct"
BUFFERS = ("x", "weights", "segments", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "XB", "D", "H", "W", "YB", "OD", "OH", "OW"),
    *("KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW", "PD", "PH", "PW"),
    *("segment_count", "segment_rows", "weight_floats", "row_tiles", "column_tiles", "oc_tiles", "alpha", "beta"),
    *GAPS,
    "fill",
)
"""XB, YB: channel blocks of x and y. P*: padding before. row_tiles, column_tiles, oc_tiles: tiles of one work item.
segment_count: the most segments that one output tile has. segment_rows, weight_floats: sizes of the packed arrays.
residual and slopes are 0 where the variant has none. fill: the 32 bits that padding is made of: zero, or four times the
zero point of bytes. Variant parameters: rows, columns (pixels of a tile), blocks (of output channels of a tile),
input_block (lanes or 1), activation, residual (0 or 1), lanes. With products = bf16, which needs a blocked input,
segments count pairs of input channels."""


def _table_bytes(s: Mapping[str, Dim]) -> Dim:
    return round_up(s["segment_count"] * s["KD"] * s["KH"] * s["KW"] * 24, 64)


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    rows = (s["row_tiles"] * int(params["rows"]) - 1) * s["SH"] + (s["KH"] - 1) * s["DH"] + 1
    pitch = s["column_tiles"] * int(params["columns"]) + floor_div((s["KW"] - 1) * s["DW"], s["SW"])
    return _table_bytes(s) + s["XB"] * s["KD"] * rows * s["SW"] * pitch * _slab_pixel_bytes(params)


def _input_bytes(params: Params) -> int:
    """Of an input pixel in one channel block."""
    return int(params["input_block"]) * element_bytes(params)


def _slab_pixel_bytes(params: Params) -> int:
    """Of a copied pixel in one channel block."""
    return copied_pixel_bytes(params) if has_bfloat_products(params) else _input_bytes(params)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    row_groups = ceil_div(s["OH"], s["row_tiles"] * int(params["rows"]))
    column_groups = ceil_div(s["OW"], s["column_tiles"] * int(params["columns"]))
    oc_groups = ceil_div(floor_div(s["YB"], int(params["blocks"])), s["oc_tiles"])
    return s["N"] * s["OD"] * row_groups * column_groups * oc_groups


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    x_image = s["XB"] * s["D"] * s["H"] * s["W"] * _input_bytes(params)
    return conv_footprint(s, params, x_image, s["OD"] * s["OH"] * s["OW"])


def build_direct(target: Target, params: Params, group: tuple[int, int] | None = None) -> Callable[..., Any]:
    """The kernel function; ``group`` as in ``Tile``."""
    from cnnc.runtime.cpu.bfloat_products import copy_rounded
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.tile import TILE_ARGS, Tile, emit_tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    rows, columns, blocks = int(params["rows"]), int(params["columns"]), int(params["blocks"])
    copied_bytes = _slab_pixel_bytes(params)
    tile = Tile(
        rows,
        columns,
        blocks,
        copied_bytes,
        str(params["activation"]),
        bool(params["residual"]),
        group=group,
        wide=has_wide_sums(params),
        element=element_of(params),
        products=products_of(params),
    )
    tile_rows, tile_columns = constant(target, rows), constant(target, columns)
    tile_blocks, slab_pixel = constant(target, blocks), constant(target, copied_bytes)
    input_pixel = constant(target, _input_bytes(params))
    vector_bytes, output_pixel = constant(target, target.vector_bytes), constant(target, pixel_bytes(params))
    # Of bytes, planes beyond the map hold their zero point; of floats they are left out.
    fills_planes = constant(target, int(element_of(params) != "f32"))
    element, is_plain = constant(target, element_bytes(params)), constant(target, int(params["input_block"] == 1))
    run_tile = intrinsic(target, lambda b, *values: emit_tile(b, tile, *values), len(TILE_ARGS))
    memory = memory_ops(target)
    load_index, store_index = memory.load_index, memory.store_index
    moves = memory_ops(replace(target, vector_bytes=copied_bytes))
    copy_pixels = memory.copy_floats if params["input_block"] == 1 else moves.copy_vectors
    if has_bfloat_products(params):
        copy_pixels = intrinsic(target, copy_rounded, 4)
    fill_pixels = memory.fill_floats if params["input_block"] == 1 else moves.fill_vectors

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        ROWS, COLUMNS, BLOCKS = tile_rows(), tile_columns(), tile_blocks()
        LANES_BYTES, INPUT_BYTES, SLAB_BYTES, BYTES = vector_bytes(), input_pixel(), slab_pixel(), output_pixel()
        PLAIN = is_plain() != 0
        x, weights, segments, bias, residual, slopes, y = (
            args[0], args[1], args[2], args[3], args[4], args[5], args[6],
        )  # fmt: skip
        XB, D, H, W, YB, OD, OH, OW = args[8], args[9], args[10], args[11], args[12], args[13], args[14], args[15]
        KD, KH, KW, SD, SH, SW = args[16], args[17], args[18], args[19], args[20], args[21]
        DD, DH, DW, PD, PH, PW = args[22], args[23], args[24], args[25], args[26], args[27]
        segment_count, row_tiles, column_tiles, oc_tiles = args[28], args[31], args[32], args[33]
        alpha, beta = args[34], args[35]
        x_gap, y_gap, residual_gap = args[36] * element(), args[37] * element(), args[38] * element()
        fill = args[39]

        table = scratch
        slab = scratch + (segment_count * KD * KH * KW * 24 + 63) // 64 * 64
        row_groups = (OH + row_tiles * ROWS - 1) // (row_tiles * ROWS)
        column_groups = (OW + column_tiles * COLUMNS - 1) // (column_tiles * COLUMNS)
        all_oc_tiles = YB // BLOCKS
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles
        pitch = column_tiles * COLUMNS + (KW - 1) * DW // SW
        slab_rows = (row_tiles * ROWS - 1) * SH + (KH - 1) * DH + 1
        slab_row = SW * pitch * SLAB_BYTES
        slab_plane = slab_rows * slab_row
        every_row = DH == 1 and KH >= SH
        x_lane = KD * slab_plane if PLAIN else 4
        y_block = OD * OH * OW * BYTES

        for item in range(begin, end):
            rest = item // oc_groups
            oc_begin = (item - rest * oc_groups) * oc_tiles
            oc_end = min(oc_begin + oc_tiles, all_oc_tiles)
            column_begin = rest % column_groups * column_tiles * COLUMNS
            rest = rest // column_groups
            row_begin = rest % row_groups * row_tiles * ROWS
            rest = rest // row_groups
            depth = rest % OD
            image = rest // OD
            row_end = min(row_begin + row_tiles * ROWS, OH)
            column_end = min(column_begin + column_tiles * COLUMNS, OW)

            # Channel blocks that these output tiles read.
            first_block = XB
            last_block = -1
            for oc in range(oc_begin, oc_end):
                head = segments + oc * 24
                place = segments + (all_oc_tiles + load_index(head)) * 24
                for _ in range(load_index(head + 8)):
                    block = load_index(place)
                    first_block = min(first_block, block)
                    last_block = max(last_block, block + load_index(place + 16) - 1 if PLAIN else block)
                    place += 24

            used_rows = ((row_end - row_begin + ROWS - 1) // ROWS * ROWS - 1) * SH + (KH - 1) * DH + 1
            for phase in range(SW):
                used = False
                for kx in range(KW):
                    used = used or kx * DW % SW == phase
                if not used:
                    continue
                # Column c of the phase is input column c * SW + left; columns low..high-1 lie in the input.
                left = column_begin * SW + phase - PW
                low = min(max((SW - 1 - left) // SW, 0), pitch)
                high = max(min((W - 1 - left) // SW + 1, pitch), low)
                for block in range(first_block, last_block + 1):
                    for kd in range(KD):
                        z = depth * SD + kd * DD - PD
                        is_beyond = z < 0 or z >= D
                        if is_beyond and fills_planes() == 0:
                            continue
                        plane = slab + ((block - first_block) * KD + kd) * slab_plane + phase * pitch * SLAB_BYTES
                        source = x + image * x_gap + (((image * XB + block) * D + z) * H * W + left) * INPUT_BYTES
                        for row in range(used_rows):
                            used = every_row
                            if not every_row:
                                for ky in range(KH):
                                    used = used or (row - ky * DH) % SH == 0
                            if not used:
                                continue
                            iy = row_begin * SH + row - PH
                            target_row = plane + row * slab_row
                            if iy < 0 or iy >= H or is_beyond:
                                fill_pixels(target_row, pitch, fill)
                                continue
                            fill_pixels(target_row, low, fill)
                            source_row = source + (iy * W + low * SW) * INPUT_BYTES
                            copy_pixels(target_row + low * SLAB_BYTES, source_row, SW * INPUT_BYTES, high - low)
                            fill_pixels(target_row + high * SLAB_BYTES, pitch - high, fill)

            listed = -1
            entries = 0
            for oc in range(oc_begin, oc_end):
                head = segments + oc * 24
                if load_index(head) != listed:
                    listed = load_index(head)
                    entries = 0
                    weight_offset = 0
                    place = segments + (all_oc_tiles + listed) * 24
                    for _ in range(load_index(head + 8)):
                        base = (load_index(place) - first_block) * KD * slab_plane + load_index(place + 8) * 4
                        count = load_index(place + 16)
                        place += 24
                        for kd in range(KD):
                            z = depth * SD + kd * DD - PD
                            for ky in range(KH):
                                for kx in range(KW):
                                    if 0 <= z < D or fills_planes() != 0:
                                        column = kx * DW % SW * pitch + kx * DW // SW
                                        entry = table + entries * 24
                                        offset = base + kd * slab_plane + ky * DH * slab_row + column * SLAB_BYTES
                                        store_index(entry, offset)
                                        store_index(entry + 8, weight_offset)
                                        store_index(entry + 16, count)
                                        entries += 1
                                    weight_offset += count * BLOCKS * LANES_BYTES
                lanes_offset = oc * BLOCKS * LANES_BYTES
                channel_block = image * YB + oc * BLOCKS
                for row in range(row_begin, row_end, ROWS):
                    for column in range(column_begin, column_end, COLUMNS):
                        pixel = ((channel_block * OD + depth) * OH + row) * OW + column
                        run_tile(
                            slab + (row - row_begin) * SH * slab_row + (column - column_begin) * SLAB_BYTES,
                            SH * slab_row,
                            x_lane,
                            weights + load_index(head + 16) * 4,
                            table,
                            entries,
                            bias + lanes_offset,
                            slopes + lanes_offset,
                            residual + image * residual_gap + pixel * BYTES,
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


KERNEL = KernelDef(NAME, BUFFERS, SIZES, build_direct, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
