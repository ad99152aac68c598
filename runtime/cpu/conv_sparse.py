"""conv.f32.blocked.sparse: convolution with weights that are mostly zeros, vectors along pixels.

A work item is a tile of ``vectors`` vectors of output pixels, of some blocks of output channels. Its input is copied to
scratch as a *panel*: a row of pixels for every input channel and window tap that any weight is for, transposed from
blocks of channels. A sum then takes a multiply-add of a vector of its row for every non-zero weight, as the lists of
``sparse_packing`` say; window, stride, dilation and padding are in the panel alone. Results are transposed back on
their way to y.

A worker keeps the panel for its next items of the same pixels. Where the panel has several parts, all output channels
of the item read one part before the next, while it lies in the caches, and their sums wait in scratch.

Products with zero weights are left out, so an infinity or NaN in x only reaches sums that have a weight for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cpu.prologue import PROLOGUE_BUFFERS, PROLOGUE_SIZES, is_gated, prologue_accesses
from cnnc.runtime.cpu.sparse_packing import GROUP_WORDS
from cnnc.runtime.cpu.tile_table import LINE_BYTES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.sparse"
BUFFERS = ("x", "entries", "index", "groups", "bias", "residual", "slopes", "y", *PROLOGUE_BUFFERS)
SIZES = (
    *("N", "XB", "YB", "D", "H", "W", "OD", "OH", "OW", "KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW"),
    *("PD", "PH", "PW", "group_count", "parts", "entry_words", "oc_blocks", "alpha", "beta"),
    *GAPS,
    *PROLOGUE_SIZES,
)
"""XB, YB: channel blocks of x and y. group_count, parts: as ``sparse_packing`` gives them; entry_words: int32 of all
entries. oc_blocks: blocks of output channels of one work item. residual and slopes are 0 where the variant has none.
Variant parameters: vectors (of pixels in a tile), share (output channels with one list), activation, residual (0 or 1),
lanes, prologue (or none)."""

_HELD_BYTES = LINE_BYTES
"""At the start of scratch: the tile whose panel lies there, counted from 1, or 0."""


def _vector_bytes(params: Params) -> int:
    return int(params["lanes"]) * 4


def _row_bytes(params: Params) -> int:
    return int(params["vectors"]) * _vector_bytes(params)


def _tile_pixels(params: Params) -> int:
    return int(params["vectors"]) * int(params["lanes"])


def _taps(s: Mapping[str, Dim]) -> Dim:
    return s["KD"] * s["KH"] * s["KW"]


def _pixels(s: Mapping[str, Dim]) -> Dim:
    return s["OD"] * s["OH"] * s["OW"]


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    lanes = int(params["lanes"])
    offsets = _taps(s) * (_tile_pixels(params) * 8)
    square = lanes * _vector_bytes(params)
    # Slack for the rounding of addresses to vectors.
    rows = (s["oc_blocks"] + s["group_count"]) * (lanes * _row_bytes(params))
    return _HELD_BYTES + LINE_BYTES + offsets + square + rows


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return s["N"] * ceil_div(_pixels(s), _tile_pixels(params)) * ceil_div(s["YB"], s["oc_blocks"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    pixels = _pixels(s)
    assert isinstance(pixels, int)
    index_row = 1 + lanes // int(params["share"])
    return (
        images_access("x", s, s["XB"] * s["D"] * s["H"] * s["W"] * _vector_bytes(params), False),
        Access("entries", 0, s["entry_words"] * 4, False),
        Access("index", 0, s["parts"] * s["YB"] * index_row * 8, False),
        Access("groups", 0, s["group_count"] * GROUP_WORDS * 8, False),
        *epilogue_footprint(s, params, pixels),
        *prologue_accesses(s, params),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.prologue import input_transform
    from cnnc.runtime.cpu.sparse_tile import emit_list, emit_results, emit_rows
    from cnnc.runtime.cpu.vector import constant, intrinsic

    vectors, share = int(params["vectors"]), int(params["share"])
    activation, has_residual = str(params["activation"]), bool(params["residual"])
    transform = input_transform(params, gates_input=True)
    run_list = intrinsic(target, lambda b, *values: emit_list(b, vectors, share, *values), 5)
    copy_rows = intrinsic(target, lambda b, *values: emit_rows(b, transform, *values), 8)
    store = intrinsic(target, lambda b, *values: emit_results(b, activation, has_residual, *values), 10)
    memory = memory_ops(target)
    load_index, store_index = memory.load_index, memory.store_index
    vector_bytes, lanes_of = constant(target, target.vector_bytes), constant(target, target.lanes)
    tile_vectors, lists_of = constant(target, vectors), constant(target, target.lanes // share)
    list_channels, entry_bytes = constant(target, share), constant(target, (1 + share) * 4)
    gated = constant(target, int(is_gated(params)))

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        BYTES, LANES, VECTORS, LISTS = vector_bytes(), lanes_of(), tile_vectors(), lists_of()
        x, entries, index, groups = args[0], args[1], args[2], args[3]
        bias, residual, slopes, y = args[4], args[5], args[6], args[7]
        input_scale, input_shift = args[8], args[9]
        XB, YB, D, H, W, OD, OH, OW = args[11], args[12], args[13], args[14], args[15], args[16], args[17], args[18]
        KD, KH, KW, SD, SH, SW = args[19], args[20], args[21], args[22], args[23], args[24]
        DD, DH, DW, PD, PH, PW = args[25], args[26], args[27], args[28], args[29], args[30]
        group_count, parts, oc_blocks, alpha, beta = args[31], args[32], args[34], args[35], args[36]
        x_gap, y_gap, residual_gap = args[37] * 4, args[38] * 4, args[39] * 4
        input_alpha, input_beta, input_image = args[40], args[41], args[42] * 4

        row_bytes = VECTORS * BYTES
        tile_pixels = VECTORS * LANES
        offsets = scratch + 64
        square = (offsets + KD * KH * KW * tile_pixels * 8 + 63) // 64 * 64
        sums = square + LANES * BYTES
        panel = sums + oc_blocks * LANES * row_bytes
        x_block = D * H * W * BYTES
        pixels = OD * OH * OW
        tiles = (pixels + tile_pixels - 1) // tile_pixels
        oc_groups = (YB + oc_blocks - 1) // oc_blocks
        index_row = (1 + LISTS) * 8

        held = load_index(scratch) - 1
        for item in range(begin, end):
            tile = item // oc_groups
            oc_begin = (item - tile * oc_groups) * oc_blocks
            oc_end = min(oc_begin + oc_blocks, YB)
            image = tile // tiles
            first = (tile - image * tiles) * tile_pixels
            count = min(tile_pixels, pixels - first)
            if tile != held:
                held = tile
                store_index(scratch, held + 1)
                place = offsets
                for kd in range(KD):
                    for kh in range(KH):
                        for kw in range(KW):
                            for number in range(tile_pixels):
                                pixel = first + min(number, count - 1)
                                row = pixel // OW
                                depth = row // OH
                                iw = (pixel - row * OW) * SW + kw * DW - PW
                                ih = (row - depth * OH) * SH + kh * DH - PH
                                id = depth * SD + kd * DD - PD
                                offset = ((id * H + ih) * W + iw) * BYTES
                                if iw < 0 or iw >= W or ih < 0 or ih >= H or id < 0 or id >= D:
                                    offset = -1
                                store_index(place, offset)
                                place += 8
                image_x = x + image * (XB * x_block + x_gap)
                image_scale = input_scale + (image * input_image if gated() else 0)
                for group in range(group_count):
                    block = load_index(groups + group * 16)
                    tap_offsets = offsets + load_index(groups + group * 16 + 8) * tile_pixels * 8
                    for vector in range(VECTORS):
                        copy_rows(
                            panel + group * LANES * row_bytes + vector * BYTES, row_bytes, image_x + block * x_block,
                            tap_offsets + vector * LANES * 8, image_scale + block * BYTES, input_shift + block * BYTES,
                            input_alpha, input_beta,
                        )  # fmt: skip
            for part in range(parts):
                for oc in range(oc_begin, oc_end):
                    row = index + (part * YB + oc) * index_row
                    entry = entries + load_index(row)
                    block_sums = sums + ((oc - oc_begin) * LANES * row_bytes if parts > 1 else 0)
                    for number in range(LISTS):
                        length = load_index(row + 8 + number * 8)
                        run_list(panel, entry, length, block_sums + number * list_channels() * row_bytes, part)
                        entry += length * entry_bytes()
                    if part == parts - 1:
                        y_offset = ((image * YB + oc) * pixels + first) * BYTES
                        for vector in range(VECTORS):
                            store(
                                square, block_sums + vector * BYTES, row_bytes, bias + oc * BYTES, slopes + oc * BYTES,
                                residual + image * residual_gap + y_offset + vector * LANES * BYTES,
                                y + image * y_gap + y_offset + vector * LANES * BYTES,
                                min(LANES, count - vector * LANES), alpha, beta,
                            )  # fmt: skip

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
