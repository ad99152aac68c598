"""conv.f32.blocked.winograd: convolution with stride 1 in height and width by Winograd's minimal filtering.

A work item is a group of tiles (of one output depth; tiles of all images count through) times a group of output
channels. In scratch, all channels of the tiles are transformed: V [position][KD][channel block][tile][lane]; once a
worker for all its items of one group of tiles. For a chunk of output channels at a time, the register tile then
multiplies each position by its weights, which were transformed at compile time, into M [position][channel block][tile]
[lane]: a 1x1 convolution whose pixels are the tiles. The inverse transform of M, bias, residual and activation give
the results.

Depth is summed directly: the KD planes that a tile sees are more input channels, planes in the padding are skipped.
A dilation divides the map into DH * DW maps of every DH-th row and DW-th column, whose tiles follow each other.

Groups of many tiles read the weights less often; V and M should stay in the second-level cache. Distances of positions
are odd multiples of a vector, so that the vectors of one tile lie in different cache sets.

An infinite input makes all results of the tiles that see it NaN or infinite, of which direct convolution would make
only its window so. Pad lanes are transformed, but never multiplied: segments list exact channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, floor_div, round_up
from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu.conv_footprint import GAPS, conv_footprint, residual_inplace
from cnnc.runtime.cpu.tile_table import CHAIN, element_bytes, element_of, pixel_bytes
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.winograd"
BUFFERS = ("x", "weights", "segments", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "XB", "D", "H", "W", "YB", "OD", "OH", "OW"),
    *("KD", "SD", "DD", "DH", "DW", "PD", "PH", "PW"),
    *("segment_count", "segment_rows", "weight_floats", "column_tiles", "chunk_tiles", "oc_tiles", "alpha", "beta"),
    *GAPS,
    "fill",
)
"""XB, YB: channel blocks of x and y. P*: padding before. column_tiles: register tiles of a group of Winograd tiles.
chunk_tiles: register tiles of a chunk of output channels; oc_tiles: those of a work item, whole chunks.
segment_count, segment_rows, weight_floats: as ``winograd_packing`` gives them. residual and slopes are 0 where the
variant has none. fill: the 32 bits that padding is made of. Variant parameters: out_rows, out_columns (of a Winograd
tile), window_rows, window_columns, columns (Winograd tiles of a register tile), blocks, activation, residual (0 or 1),
lanes; and taps, which is 1 where the weights are the filter's taps and the register tile transforms them
(``winograd_taps_tile``): blocks and chunk_tiles are then 1."""

_HELD_BYTES = 64
"""At the start of scratch: what V holds, as three words (tile group counted from 1, or 0; first and last block)."""


def _tile_rows(params: Params) -> int:
    return int(params["out_rows"]) + int(params["window_rows"]) - 1


def _tile_columns(params: Params) -> int:
    return int(params["out_columns"]) + int(params["window_columns"]) - 1


def _odd(count: Dim) -> Dim:
    return floor_div(count, 2) * 2 + 1


def _transformed_bytes(params: Params) -> int:
    """Of a pixel of transformed inputs in one channel block: float32, or int16 of bytes."""
    return int(params["lanes"]) * (4 if element_of(params) == "f32" else 2)


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    positions = _tile_rows(params) * _tile_columns(params)
    tiles = s["column_tiles"] * int(params["columns"])
    v = _odd(s["KD"] * s["XB"] * tiles) * (positions * _transformed_bytes(params))
    m = _odd(s["chunk_tiles"] * int(params["blocks"]) * tiles) * (positions * int(params["lanes"]) * 4)
    table = round_up(s["segment_count"] * s["KD"] * 24, 64)
    return _HELD_BYTES + table + tiles * 64 + round_up(positions * pixel_bytes(params), 64) + round_up(v, 64) + m


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    map_tiles = s["N"] * _axis_tiles(s["OH"], s["DH"], params["out_rows"])
    map_tiles *= _axis_tiles(s["OW"], s["DW"], params["out_columns"])
    groups = ceil_div(map_tiles, s["column_tiles"] * int(params["columns"]))
    return s["OD"] * groups * ceil_div(floor_div(s["YB"], int(params["blocks"])), s["oc_tiles"])


def _axis_tiles(size: Dim, dilation: Dim, outputs: int | str) -> Dim:
    return dilation * ceil_div(size, dilation * int(outputs))


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    x_image = s["XB"] * s["D"] * s["H"] * s["W"] * pixel_bytes(params)
    return conv_footprint(s, params, x_image, s["OD"] * s["OH"] * s["OW"])


def build_winograd(target: Target, params: Params) -> Callable[..., Any]:
    """The kernel function."""
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.vector import constant, intrinsic
    from cnnc.runtime.cpu.winograd_arithmetic import winograd_arithmetic
    from cnnc.runtime.cpu.winograd_products import PRODUCTS_ARGS, emit_products
    from cnnc.runtime.cpu.winograd_transform import (
        INPUT_ARGS,
        OUTPUT_ARGS,
        TileShape,
        emit_input_transform,
        emit_output_transform,
    )

    columns, blocks = int(params["columns"]), int(params["blocks"])
    window = int(params["window_rows"]), int(params["window_columns"])
    shape = TileShape(int(params["out_rows"]), int(params["out_columns"]), window)
    activation, residual_too = str(params["activation"]), bool(params["residual"])
    taps = bool(params.get("taps", 0))
    arithmetic = winograd_arithmetic(element_of(params), taps)
    multiply = intrinsic(
        target,
        lambda b, *values: emit_products(b, shape, arithmetic, (columns, blocks), taps, *values),
        len(PRODUCTS_ARGS),
    )
    transform_input = intrinsic(
        target, lambda b, *values: emit_input_transform(b, shape, arithmetic, *values), len(INPUT_ARGS)
    )
    transform_output = intrinsic(
        target,
        lambda b, *values: emit_output_transform(b, shape, arithmetic, activation, residual_too, *values),
        len(OUTPUT_ARGS),
    )
    vector_lanes = constant(target, target.lanes)
    register_columns, register_blocks = constant(target, columns), constant(target, blocks)
    vector_bytes, held_bytes = constant(target, target.vector_bytes), constant(target, _HELD_BYTES)
    map_pixel, transformed_pixel = constant(target, pixel_bytes(params)), constant(target, _transformed_bytes(params))
    element = constant(target, element_bytes(params))
    out_rows, out_columns = constant(target, shape.rows), constant(target, shape.columns)
    input_rows, input_columns = constant(target, shape.input_rows), constant(target, shape.input_columns)
    # Positions that are multiplied at a time, and vectors of weights that a product of all positions has.
    step_positions = constant(target, shape.input_columns if taps else 1)
    weight_sets = constant(target, window[0] * window[1] if taps else shape.input_rows * shape.input_columns)
    slice_entries = constant(target, CHAIN // target.lanes if taps else 1 << 30)
    entry_sets = constant(target, window[0] * window[1] if taps else 1)
    memory = memory_ops(replace(target, vector_bytes=pixel_bytes(params)))
    load_index, store_index = memory.load_index, memory.store_index
    copy_pixels, fill_pixels, expect_writes = memory.copy_vectors, memory.fill_vectors, memory.expect_writes

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        COLUMNS, BLOCKS, BYTES = register_columns(), register_blocks(), vector_bytes()
        PIXEL, V_BYTES = map_pixel(), transformed_pixel()  # of x and y, of V; sums have BYTES
        OUT_ROWS, OUT_COLUMNS, IN_ROWS, IN_COLUMNS = out_rows(), out_columns(), input_rows(), input_columns()
        POSITIONS, STEP = IN_ROWS * IN_COLUMNS, step_positions()
        LANES, WEIGHT_SETS, ENTRY_BYTES = vector_lanes(), weight_sets(), entry_sets() * BLOCKS * BYTES
        x, weights, segments, bias, residual, slopes, y = (
            args[0], args[1], args[2], args[3], args[4], args[5], args[6],
        )  # fmt: skip
        N, XB, D, H, W, YB, OD, OH, OW = (
            args[7], args[8], args[9], args[10], args[11], args[12], args[13], args[14], args[15],
        )  # fmt: skip
        KD, SD, DD, DH, DW, PD, PH, PW = (
            args[16], args[17], args[18], args[19], args[20], args[21], args[22], args[23],
        )  # fmt: skip
        segment_count, weight_floats = args[24], args[26]
        column_tiles, chunk_tiles, oc_tiles = args[27], args[28], args[29]
        alpha, beta = args[30], args[31]
        x_gap, y_gap, residual_gap = args[32] * element(), args[33] * element(), args[34] * element()
        fill = args[35]

        group_tiles = column_tiles * COLUMNS
        all_oc_tiles = YB // BLOCKS
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles
        row_tiles = DH * ((OH + DH * OUT_ROWS - 1) // (DH * OUT_ROWS))
        map_columns = DW * ((OW + DW * OUT_COLUMNS - 1) // (DW * OUT_COLUMNS))
        image_tiles = row_tiles * map_columns
        all_tiles = N * image_tiles
        tile_groups = (all_tiles + group_tiles - 1) // group_tiles
        v_block, m_block = group_tiles * V_BYTES, group_tiles * BYTES
        v_position = (KD * XB * group_tiles // 2 * 2 + 1) * V_BYTES
        m_position = (chunk_tiles * BLOCKS * group_tiles // 2 * 2 + 1) * BYTES
        table = scratch + held_bytes()
        places = table + (segment_count * KD * 24 + 63) // 64 * 64
        patch = places + group_tiles * 64
        v = patch + (POSITIONS * PIXEL + 63) // 64 * 64
        m = v + (POSITIONS * v_position + 63) // 64 * 64
        set_floats = weight_floats // WEIGHT_SETS  # of all output tiles
        x_plane, y_plane = H * W * PIXEL, OH * OW * PIXEL
        x_image, y_image = XB * D * x_plane + x_gap, YB * OD * y_plane + y_gap

        # V serves several items, of this call and of the worker's next, if their tiles and channels are the same.
        held_group, held_first, held_last = load_index(scratch) - 1, load_index(scratch + 8), load_index(scratch + 16)
        for item in range(begin, end):
            group = item // oc_groups
            oc_begin = (item - group * oc_groups) * oc_tiles
            oc_end = min(oc_begin + oc_tiles, all_oc_tiles)
            depth = group // tile_groups
            first_tile = (group - depth * tile_groups) * group_tiles
            tiles = min(group_tiles, all_tiles - first_tile)

            # Channel blocks that these output tiles read.
            first_block = XB
            last_block = -1
            for oc in range(oc_begin, oc_end):
                head = segments + oc * 24
                place = segments + (all_oc_tiles + load_index(head)) * 24
                for _ in range(load_index(head + 8)):
                    first_block = min(first_block, load_index(place))
                    last_block = max(last_block, load_index(place))
                    place += 24

            if group != held_group:
                for tile in range(tiles):
                    image = (first_tile + tile) // image_tiles
                    rest = first_tile + tile - image * image_tiles
                    tile_row = rest // map_columns
                    tile_column = rest - tile_row * map_columns
                    oy = tile_row // DH * OUT_ROWS * DH + tile_row % DH
                    ox = tile_column // DW * OUT_COLUMNS * DW + tile_column % DW
                    place = places + tile * 64
                    store_index(place, image * x_image + ((oy - PH) * W + ox - PW) * PIXEL)
                    inside = oy >= PH and oy - PH + (IN_ROWS - 1) * DH < H and ox >= PW and ox - PW + IN_COLUMNS <= W
                    store_index(place + 8, 1 if inside and DW == 1 else 0)
                    store_index(place + 16, oy - PH)
                    store_index(place + 24, ox - PW)
                    store_index(place + 32, image * y_image + (oy * OW + ox) * PIXEL)
                    store_index(place + 40, image * (residual_gap - y_gap))
                    store_index(place + 48, (OH - oy + DH - 1) // DH)
                    store_index(place + 56, (OW - ox + DW - 1) // DW)

            if group != held_group or first_block != held_first or last_block != held_last:
                held_group, held_first, held_last = group, first_block, last_block
                store_index(scratch, held_group + 1)
                store_index(scratch + 8, held_first)
                store_index(scratch + 16, held_last)
                for kd in range(KD):
                    z = depth * SD + kd * DD - PD
                    if z < 0 or z >= D:
                        continue
                    for block in range(first_block, last_block + 1):
                        target_tile = v + (kd * XB + block - first_block) * v_block
                        plane = x + (block * D + z) * x_plane
                        for tile in range(tiles):
                            place = places + tile * 64
                            source = plane + load_index(place)
                            source_row = DH * W * PIXEL
                            if load_index(place + 8) == 0:
                                iy, ix = load_index(place + 16), load_index(place + 24)
                                # Columns low..high-1 lie in the input.
                                low = min(max((DW - 1 - ix) // DW, 0), IN_COLUMNS)
                                high = max(min((W - 1 - ix) // DW + 1, IN_COLUMNS), low)
                                for row in range(IN_ROWS):
                                    target_row = patch + row * IN_COLUMNS * PIXEL
                                    if iy + row * DH < 0 or iy + row * DH >= H:
                                        fill_pixels(target_row, IN_COLUMNS, fill)
                                        continue
                                    fill_pixels(target_row, low, fill)
                                    source_pixel = source + row * source_row + low * DW * PIXEL
                                    copy_pixels(target_row + low * PIXEL, source_pixel, DW * PIXEL, high - low)
                                    fill_pixels(target_row + high * PIXEL, IN_COLUMNS - high, fill)
                                source = patch
                                source_row = IN_COLUMNS * PIXEL
                            transform_input(source, source_row, target_tile, v_position)
                            target_tile += V_BYTES

            listed = -1
            entries = 0
            # A range with a step known at run time only would keep code that raises.
            for chunk in range((oc_end - oc_begin + chunk_tiles - 1) // chunk_tiles):
                chunk_begin = oc_begin + chunk * chunk_tiles
                chunk_end = min(chunk_begin + chunk_tiles, oc_end)
                chunk_first = load_index(segments + chunk_begin * 24 + 16)
                chunk_floats = set_floats - chunk_first
                if chunk_end < all_oc_tiles:
                    chunk_floats = load_index(segments + chunk_end * 24 + 16) - chunk_first
                # With taps, slices of channels at a time: an entry is of one block, so a slice is a chain at most.
                for first_entry in range(0, segment_count * KD, slice_entries()):
                    for position in range(0, POSITIONS, STEP):
                        chunk_weights = weights + WEIGHT_SETS * chunk_first * 4
                        if STEP == 1:
                            chunk_weights += position * chunk_floats * 4
                        for oc in range(chunk_begin, chunk_end):
                            head = segments + oc * 24
                            if load_index(head) != listed:
                                listed = load_index(head)
                                entries = 0
                                weight_offset = 0
                                place = segments + (all_oc_tiles + listed) * 24
                                for _ in range(load_index(head + 8)):
                                    base = (load_index(place) - first_block) * v_block + load_index(place + 8) * 4
                                    count = load_index(place + 16)
                                    place += 24
                                    for kd in range(KD):
                                        z = depth * SD + kd * DD - PD
                                        if 0 <= z < D:
                                            entry = table + entries * 24
                                            store_index(entry, base + kd * XB * v_block)
                                            store_index(entry + 8, weight_offset)
                                            store_index(entry + 16, count)
                                            entries += 1
                                        weight_offset += count * ENTRY_BYTES
                            tile_weights = chunk_weights + (load_index(head + 16) - chunk_first) * 4
                            # The inverse transform writes in bursts, for which the lines should be there.
                            for tile in range(tiles * position // POSITIONS, tiles * (position + STEP) // POSITIONS):
                                pixel = y + (oc * BLOCKS * OD + depth) * y_plane + load_index(places + tile * 64 + 32)
                                for _ in range(BLOCKS):
                                    for row in range(OUT_ROWS):
                                        expect_writes(pixel + row * DH * OW * PIXEL, OUT_COLUMNS * DW)
                                    pixel += OD * y_plane
                            sums = m + position * m_position + (oc - chunk_begin) * BLOCKS * m_block
                            for number in range(0, tiles, COLUMNS):
                                multiply(
                                    position // STEP,
                                    v + position * v_position + number * V_BYTES,
                                    v_position,
                                    tile_weights,
                                    table + first_entry * 24,
                                    max(min(entries - first_entry, slice_entries()), 0),
                                    sums + number * BYTES,
                                    m_position,
                                    first_entry,
                                    m_block,
                                    tile_weights + (first_entry + slice_entries()) * LANES * ENTRY_BYTES,
                                    slice_entries() * LANES,
                                )

                for block in range(chunk_begin * BLOCKS, chunk_end * BLOCKS):
                    tile_sums = m + (block - chunk_begin * BLOCKS) * m_block
                    plane = y + (block * OD + depth) * y_plane
                    for tile in range(tiles):
                        place = places + tile * 64
                        pixel = plane + load_index(place + 32)
                        transform_output(
                            tile_sums,
                            m_position,
                            bias + block * BYTES,
                            slopes + block * BYTES,
                            pixel + load_index(place + 40) - y + residual,
                            pixel,
                            DH * OW * PIXEL,
                            DW * PIXEL,
                            load_index(place + 48),
                            load_index(place + 56),
                            alpha,
                            beta,
                        )
                        tile_sums += BYTES

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, build_winograd, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
