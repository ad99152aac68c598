"""conv.f32, conv.bf16 and conv.u8.blocked.pointwise: 1x1 convolution with stride 1 and no padding.

It is a matrix product over flattened pixels.
The register tile reads the blocked input in place. Only the last tile of an image, where fewer pixels than a tile are
left, is copied to scratch first, so that nothing beyond the image is read. A variant with a prologue copies all pixels
of a work item, transformed; its tiles read only the copy. So does one that multiplies bfloat16, to round them.

Work items go through a *slab* of pixels, all output channels of it, before the next: first the pixels of one tile of
output channels, whose weights stay in the L1 cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, round_up
from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu.conv_footprint import GAPS, conv_footprint, residual_inplace
from cnnc.runtime.cpu.prologue import (
    PROLOGUE_BUFFERS,
    PROLOGUE_SIZES,
    copies_input,
    gated_weights,
    gates_weights,
    input_copy,
    prologue_accesses,
)
from cnnc.runtime.cpu.tile_table import (
    LINE_BYTES,
    copied_pixel_bytes,
    element_bytes,
    element_of,
    has_wide_sums,
    pixel_bytes,
    products_of,
)
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.pointwise"
BUFFERS = ("x", "weights", "segments", "bias", "residual", "slopes", "y", *PROLOGUE_BUFFERS)
SIZES = (
    *("N", "XB", "YB", "pixels", "segment_count", "segment_rows", "weight_floats"),
    *("slab_tiles", "pixel_tiles", "oc_tiles", "alpha", "beta"),
    *GAPS,
    *PROLOGUE_SIZES,
)
"""XB, YB: channel blocks of x and y. pixels: D*H*W. slab_tiles: tiles of pixels of a slab, all of whose output channels
come before the next slab. pixel_tiles, oc_tiles: tiles of one work item. segment_count, segment_rows, weight_floats: as
``conv_packing`` gives them; residual and slopes are 0 where the variant has none.
Variant parameters: columns (pixels of a tile), blocks, activation, residual (0 or 1), lanes, prologue (or none); and
tail, if the last tile of output channels is smaller than the others: its half vectors of channels, for which its
weights are packed. With products = bf16 segments count pairs of input channels; the other parameters are those of
``conv.f32.blocked.pointwise``."""


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    tiles = s["pixel_tiles"] if copies_input(params) else 1
    copied = s["XB"] * tiles * (int(params["columns"]) * copied_pixel_bytes(params))
    if gates_weights(params):
        copied += s["XB"] * (int(params["lanes"]) ** 2 * int(params["blocks"]) * 4)
    return round_up(s["segment_count"] * 48, 64) + copied


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    slabs = ceil_div(s["pixels"], s["slab_tiles"] * int(params["columns"]))
    oc_groups = ceil_div(ceil_div(s["YB"], int(params["blocks"])), s["oc_tiles"])
    return s["N"] * slabs * oc_groups * ceil_div(s["slab_tiles"], s["pixel_tiles"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    operands = conv_footprint(s, params, s["XB"] * s["pixels"] * pixel_bytes(params), s["pixels"])
    return operands + prologue_accesses(s, params)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.tile import AHEAD_ARGS, Tile, emit_tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    columns, blocks = int(params["columns"]), int(params["blocks"])
    tile_columns, tile_blocks = constant(target, columns), constant(target, blocks)
    vector_bytes, block_bytes = constant(target, target.vector_bytes), constant(target, pixel_bytes(params))
    panel_bytes, input_bytes = constant(target, copied_pixel_bytes(params)), constant(target, element_bytes(params))
    tail = int(params.get("tail", 0))
    has_tail = constant(target, int(tail > 0))
    tile_bytes = constant(target, blocks * target.vector_bytes)
    tail_bytes = constant(target, tail * target.vector_bytes // 2)

    def tile_function(halves: int) -> Any:
        tile = Tile(
            1,
            columns,
            -(-halves // 2),
            copied_pixel_bytes(params),
            str(params["activation"]),
            bool(params["residual"]),
            wide=has_wide_sums(params),
            half=halves % 2 == 1,
            ahead=True,
            element=element_of(params),
            products=products_of(params),
        )
        return intrinsic(target, lambda b, *values: emit_tile(b, tile, *values), len(AHEAD_ARGS))

    run_tile, run_tail = tile_function(2 * blocks), tile_function(tail or 2 * blocks)
    memory = memory_ops(target)
    load_index, store_index, copy_input = (
        memory.load_index,
        memory.store_index,
        input_copy(replace(target, vector_bytes=pixel_bytes(params)), params),
    )
    copies, gates = constant(target, int(copies_input(params))), constant(target, int(gates_weights(params)))
    gate_weights = gated_weights(target)

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        COLUMNS, BLOCKS, BYTES, LANES_BYTES = tile_columns(), tile_blocks(), block_bytes(), vector_bytes()
        COPIED_BYTES = panel_bytes()
        x, weights, segments, bias = args[0], args[1], args[2], args[3]
        residual, slopes, y, input_scale, input_shift = args[4], args[5], args[6], args[7], args[8]
        XB, YB, pixels, segment_count = args[10], args[11], args[12], args[13]
        slab_tiles, pixel_tiles, oc_tiles, alpha, beta = args[16], args[17], args[18], args[19], args[20]
        x_gap, y_gap, residual_gap = args[21] * input_bytes(), args[22] * input_bytes(), args[23] * input_bytes()
        input_alpha, input_beta, input_image = args[24], args[25], args[26] * 4

        table = scratch
        panel = scratch + (segment_count * 48 + 63) // 64 * 64
        panel_row = (pixel_tiles if copies() else 1) * COLUMNS * COPIED_BYTES
        gated = panel + XB * panel_row
        slab_pixels = slab_tiles * COLUMNS
        slabs = (pixels + slab_pixels - 1) // slab_pixels
        groups = (slab_tiles + pixel_tiles - 1) // pixel_tiles
        all_oc_tiles = (YB + BLOCKS - 1) // BLOCKS
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles
        is_whole = end - begin == args[9] * slabs * oc_groups * groups
        if is_whole and copies() == 0:
            # One thread needs no small items.
            pixel_tiles, groups = slab_tiles, 1
            end = args[9] * slabs * oc_groups

        copied = -1  # the first pixel of all images whose copy lies in the panel
        listed, listed_step = -1, 0  # the segments that the table lists
        entries = 0
        weight_offset = 0
        gated_tile = -1
        for item in range(begin, end):
            rest = item // groups
            group = item - rest * groups
            slab = rest // oc_groups
            oc_begin = (rest - slab * oc_groups) * oc_tiles
            oc_end = min(oc_begin + oc_tiles, all_oc_tiles)
            image = slab // slabs
            slab_begin = (slab - image * slabs) * slab_pixels
            pixel_begin = slab_begin + group * pixel_tiles * COLUMNS
            pixel_end = min(min(pixel_begin + pixel_tiles * COLUMNS, slab_begin + slab_pixels), pixels)
            if pixel_begin >= pixel_end:
                continue
            image_x = x + image * (XB * pixels * BYTES + x_gap)
            panel_begin = pixel_begin
            if not copies():
                panel_begin += (pixel_end - pixel_begin) // COLUMNS * COLUMNS
            if panel_begin < pixel_end and image * pixels + panel_begin != copied:
                copied = image * pixels + panel_begin
                for block in range(XB):
                    copy_input(
                        panel + block * panel_row,
                        image_x + (block * pixels + panel_begin) * BYTES,
                        BYTES,
                        pixel_end - panel_begin,
                        input_scale + image * input_image + block * BYTES,
                        input_shift + block * BYTES,
                        input_alpha,
                        input_beta,
                    )

            for oc in range(oc_begin, oc_end):
                head = segments + oc * 24
                is_tail = has_tail() != 0 and oc == all_oc_tiles - 1
                weight_step = tail_bytes() if is_tail else tile_bytes()
                if load_index(head) != listed or weight_step != listed_step:
                    # Two tables: offsets into x, and into the copy.
                    listed, listed_step = load_index(head), weight_step
                    entries = load_index(head + 8)
                    weight_offset = 0
                    for number in range(entries):
                        place = segments + (all_oc_tiles + listed + number) * 24
                        block, lane, count = load_index(place), load_index(place + 8), load_index(place + 16)
                        entry = table + number * 24
                        store_index(entry, block * pixels * BYTES + lane * 4)
                        store_index(entry + 8, weight_offset)
                        store_index(entry + 16, count)
                        entry += segment_count * 24
                        store_index(entry, block * panel_row + lane * 4)
                        store_index(entry + 8, weight_offset)
                        store_index(entry + 16, count)
                        weight_offset += count * weight_step
                k = weight_offset // weight_step
                # Every tile of pixels asks for a part of the next tile's weights: as many lines as input channels.
                tile_weights = weights + load_index(head + 16) * 4
                next_weights = tile_weights + weight_offset
                if gates():
                    if image * all_oc_tiles + oc != gated_tile:
                        gated_tile = image * all_oc_tiles + oc
                        for number in range(entries):
                            place = segments + (all_oc_tiles + listed + number) * 24
                            lane = load_index(place) * BYTES + load_index(place + 8) * 4
                            offset = load_index(table + number * 24 + 8)
                            gate = input_scale + image * input_image + lane
                            gate_weights(
                                gated + offset, tile_weights + offset, weight_step, load_index(place + 16), gate
                            )
                    tile_weights = gated
                lanes_offset = oc * BLOCKS * LANES_BYTES
                for pixel in range(pixel_begin, pixel_end, COLUMNS):
                    y_offset = ((image * YB + oc * BLOCKS) * pixels + pixel) * BYTES
                    part = (pixel - slab_begin) // COLUMNS
                    ahead = next_weights + (part * k * LINE_BYTES if part < BLOCKS else 0)
                    is_copied = pixel >= panel_begin
                    tile_x = panel + (pixel - panel_begin) * COPIED_BYTES if is_copied else image_x + pixel * BYTES
                    tile_table = table + segment_count * 24 if is_copied else table
                    if is_tail:
                        run_tail(
                            tile_x, 0, 4, tile_weights, tile_table, entries, bias + lanes_offset, slopes + lanes_offset,
                            residual + image * residual_gap + y_offset, y + image * y_gap + y_offset, BYTES, 0,
                            pixels * BYTES, pixels - pixel, 1, 0, alpha, beta, ahead,
                        )  # fmt: skip
                    else:
                        run_tile(
                            tile_x, 0, 4, tile_weights, tile_table, entries, bias + lanes_offset, slopes + lanes_offset,
                            residual + image * residual_gap + y_offset, y + image * y_gap + y_offset, BYTES, 0,
                            pixels * BYTES, pixels - pixel, 1, 0, alpha, beta, ahead,
                        )  # fmt: skip

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
