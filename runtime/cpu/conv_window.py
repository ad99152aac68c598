"""conv.f32.blocked.window: convolution of blocked maps of known size, read where they lie.

A work item is a group of output rows of one image times a group of output channels. Nothing is copied and nothing
outside of the map is read: for each tile the taps of the window are listed that show it any of the map, each with the
part of the tile that it reaches (see ``window_tile``). So the padding costs nothing: an ASPP layer of 960 channels with
dilations 12, 24 and 36 on a 14x14 map takes 1/4, 1/11 and 1/23 of the time of ``conv.f32.blocked.direct``.

The parts are compiled, and depend on the sizes of the map: the lowering knows them (``window_parts``). Weights are
those of ``conv.f32.blocked.direct``, or, where the variant has group_inputs and group_outputs, those of
``conv.f32.blocked.grouped``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, round_up
from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu.conv_footprint import GAPS, conv_footprint, residual_inplace
from cnnc.runtime.cpu.window_parts import parse_ranges
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.window"
BUFFERS = ("x", "weights", "segments", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "XB", "D", "H", "W", "YB", "OD", "OH", "OW"),
    *("KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW", "PD", "PH", "PW"),
    *("segment_count", "segment_rows", "weight_floats", "tile_count", "row_tiles", "oc_tiles", "alpha", "beta"),
    *GAPS,
)
"""As those of ``conv.f32.blocked.direct``; a work item has all columns. SW is the variant's stride. tile_count: output
tiles, that is, packed ones. Variant parameters: rows, columns, blocks, stride, row_parts, column_parts (the ranges that
taps leave of a tile: ``format_ranges``), activation, residual (0 or 1), lanes; vector: lanes of a tile's vector, where
it is a part of a block, and ``blocks`` is 1; group_inputs, group_outputs: channels of a group, where permutations of
one vector give every lane its group's; two_groups: 1 where a vector of outputs may be of two groups, for the weights of
``pack_two_groups``, and ``blocks`` is 1."""


def _lists_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    """Part numbers by row tile and window row, and by column tile and window column."""
    column_tiles = ceil_div(s["OW"], int(params["columns"]))
    return round_up((s["row_tiles"] * s["KH"] + column_tiles * s["KW"]) * 8, 64)


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    return _lists_bytes(s, params) + round_up(s["KD"] * s["KH"] * s["KW"] * 24, 64)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    row_groups = ceil_div(s["OH"], s["row_tiles"] * int(params["rows"]))
    return s["N"] * s["OD"] * row_groups * ceil_div(s["tile_count"], s["oc_tiles"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    x_image = s["XB"] * s["D"] * s["H"] * s["W"] * int(params["lanes"]) * 4
    return conv_footprint(s, params, x_image, s["OD"] * s["OH"] * s["OW"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.tile import Tile
    from cnnc.runtime.cpu.vector import constant, intrinsic
    from cnnc.runtime.cpu.window_tile import WINDOW_TILE_ARGS, emit_part_number, emit_window_tile

    rows, columns, blocks = int(params["rows"]), int(params["columns"]), int(params["blocks"])
    vector = int(params.get("vector", target.lanes))
    tile_target = replace(target, vector_bytes=vector * 4)
    group = (int(params["group_inputs"]), int(params["group_outputs"])) if "group_inputs" in params else None
    tile = Tile(
        rows,
        columns,
        blocks,
        int(params["stride"]) * target.vector_bytes,
        str(params["activation"]),
        bool(params["residual"]),
        group=group,
    )
    row_ranges, column_ranges = parse_ranges(str(params["row_parts"])), parse_ranges(str(params["column_parts"]))
    parts = [(row_range, column_range) for row_range in row_ranges for column_range in column_ranges]
    two_groups = bool(params.get("two_groups", 0))
    run_tile = intrinsic(
        tile_target, lambda b, *values: emit_window_tile(b, tile, parts, two_groups, *values), len(WINDOW_TILE_ARGS)
    )
    row_part = intrinsic(target, lambda b, *values: emit_part_number(b, row_ranges, *values), 2, returns=True)
    column_part = intrinsic(target, lambda b, *values: emit_part_number(b, column_ranges, *values), 2, returns=True)
    tile_rows, tile_columns, tile_blocks = constant(target, rows), constant(target, columns), constant(target, blocks)
    column_parts = constant(target, len(column_ranges))
    block_bytes, vector_bytes = constant(target, target.vector_bytes), constant(target, vector * 4)
    memory = memory_ops(target)
    load_index, store_index = memory.load_index, memory.store_index

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        ROWS, COLUMNS, BLOCKS = tile_rows(), tile_columns(), tile_blocks()
        BYTES, VECTOR_BYTES = block_bytes(), vector_bytes()
        TILE_BYTES = BLOCKS * VECTOR_BYTES  # of the channels of a pixel of a tile
        x, weights, segments, bias = args[0], args[1], args[2], args[3]
        residual, slopes, y = args[4], args[5], args[6]
        XB, D, H, W, YB, OD, OH, OW = args[8], args[9], args[10], args[11], args[12], args[13], args[14], args[15]
        KD, KH, KW, SD, SH, SW = args[16], args[17], args[18], args[19], args[20], args[21]
        DD, DH, DW, PD, PH, PW = args[22], args[23], args[24], args[25], args[26], args[27]
        all_oc_tiles, row_tiles, oc_tiles, alpha, beta = args[31], args[32], args[33], args[34], args[35]
        x_gap, y_gap, residual_gap = args[36] * 4, args[37] * 4, args[38] * 4

        column_tiles = (OW + COLUMNS - 1) // COLUMNS
        row_list = scratch
        column_list = row_list + row_tiles * KH * 8
        taps = scratch + ((row_tiles * KH + column_tiles * KW) * 8 + 63) // 64 * 64
        row_groups = (OH + row_tiles * ROWS - 1) // (row_tiles * ROWS)
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles
        x_block = D * H * W * BYTES
        y_block = OD * OH * OW * BYTES

        for column_tile in range(column_tiles):
            for kx in range(KW):
                left = column_tile * COLUMNS * SW + kx * DW - PW
                first = max((SW - 1 - left) // SW, 0)
                stop = min(min(COLUMNS, OW - column_tile * COLUMNS), (W - 1 - left) // SW + 1)
                store_index(column_list + (column_tile * KW + kx) * 8, column_part(first, stop))

        for item in range(begin, end):
            rest = item // oc_groups
            oc_begin = (item - rest * oc_groups) * oc_tiles
            oc_end = min(oc_begin + oc_tiles, all_oc_tiles)
            row_begin = rest % row_groups * row_tiles * ROWS
            rest = rest // row_groups
            depth = rest % OD
            image = rest // OD
            row_end = min(row_begin + row_tiles * ROWS, OH)
            z_begin = depth * SD - PD
            image_x = x + image * (XB * x_block + x_gap)

            for row in range(row_begin, row_end, ROWS):
                for ky in range(KH):
                    top = row * SH + ky * DH - PH
                    first = max((SH - 1 - top) // SH, 0)
                    stop = min(min(ROWS, OH - row), (H - 1 - top) // SH + 1)
                    store_index(row_list + ((row - row_begin) // ROWS * KH + ky) * 8, row_part(first, stop))

            for oc in range(oc_begin, oc_end):
                head = segments + oc * 24
                lanes_offset = oc * TILE_BYTES
                oc_block = lanes_offset // BYTES
                lane_bytes = lanes_offset - oc_block * BYTES
                for row in range(row_begin, row_end, ROWS):
                    rows_of_tile = row_list + (row - row_begin) // ROWS * KH * 8
                    for column in range(0, OW, COLUMNS):
                        columns_of_tile = column_list + column // COLUMNS * KW * 8
                        count = 0
                        for kd in range(KD):
                            z = z_begin + kd * DD
                            if z < 0 or z >= D:
                                continue
                            for ky in range(KH):
                                vertical = load_index(rows_of_tile + ky * 8)
                                if vertical < 0:
                                    continue
                                for kx in range(KW):
                                    horizontal = load_index(columns_of_tile + kx * 8)
                                    if horizontal < 0:
                                        continue
                                    tap = taps + count * 24
                                    store_index(tap, ((kd * DD * H + ky * DH) * W + kx * DW) * BYTES)
                                    store_index(tap + 8, (kd * KH + ky) * KW + kx)
                                    store_index(tap + 16, vertical * column_parts() + horizontal)
                                    count += 1
                        first_pixel = (z_begin * H + row * SH - PH) * W + column * SW - PW
                        pixel = (((image * YB + oc_block) * OD + depth) * OH + row) * OW + column
                        run_tile(
                            image_x + first_pixel * BYTES,
                            SH * W * BYTES,
                            x_block,
                            weights + load_index(head + 16) * 4,
                            segments + (all_oc_tiles + load_index(head)) * 24,
                            load_index(head + 8),
                            taps,
                            count,
                            KD * KH * KW,
                            bias + lanes_offset,
                            slopes + lanes_offset,
                            residual + image * residual_gap + pixel * BYTES + lane_bytes,
                            y + image * y_gap + pixel * BYTES + lane_bytes,
                            BYTES,
                            OW * BYTES,
                            y_block,
                            OW - column,
                            OH - row,
                            alpha,
                            beta,
                        )

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
