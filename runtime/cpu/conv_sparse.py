"""conv.f32 and conv.u8.blocked.sparse: convolution with weights that are mostly zeros, vectors along pixels.

A work item is a tile of ``vectors`` vectors of output pixels, of some blocks of output channels. Its input is copied to
scratch as a *panel*: a row of pixels for every input channel and window tap that any weight is for, transposed from
blocks of channels; of bytes a row is of four neighbouring channels. A sum then takes a multiply-add of a vector of its
row for every word of weights that is not zero, as the lists of ``sparse_packing`` say; window, stride, dilation and
padding are in the panel alone. Results are transposed back on their way to y.

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
from cnnc.runtime.cpu.sparse_packing import GROUP_WORDS, WORD_BYTES, ListBounds
from cnnc.runtime.cpu.tile_table import LINE_BYTES, element_bytes, element_of, pixel_bytes
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.sparse"
BUFFERS = ("x", "entries", "index", "groups", "bias", "residual", "slopes", "y", *PROLOGUE_BUFFERS)
SIZES = (
    *("N", "XB", "YB", "D", "H", "W", "OD", "OH", "OW", "KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW"),
    *("PD", "PH", "PW", "group_count", "parts", "entry_words", "oc_blocks", "alpha", "beta"),
    *GAPS,
    *PROLOGUE_SIZES,
    "fill",
)
"""XB, YB: channel blocks of x and y. group_count, parts: as ``sparse_packing`` gives them; entry_words: int32 of all
entries. oc_blocks: blocks of output channels of one work item. residual and slopes are 0 where the variant has none.
fill: the word that stands for padding, 0 of floats.
Variant parameters: vectors (of pixels in a tile), last (pixels that the last tile of an image computes: vectors, of
floats half or a quarter of one too; none where it computes as many as the others), share (output channels with one
list), activation, residual (0 or 1), lanes, prologue (or none), element (none for f32)."""

_HELD_BYTES = LINE_BYTES
"""At the start of scratch: the tile whose panel lies there, counted from 1, or 0."""


def _vector_bytes(params: Params) -> int:
    return int(params["lanes"]) * 4


def _row_bytes(params: Params) -> int:
    return int(params["vectors"]) * _vector_bytes(params)


def _tile_pixels(params: Params) -> int:
    return int(params["vectors"]) * int(params["lanes"])


def _group_rows(params: Params) -> int:
    """Panel rows of a block of channels seen through one tap: its words."""
    return pixel_bytes(params) // WORD_BYTES


def _taps(s: Mapping[str, Dim]) -> Dim:
    return s["KD"] * s["KH"] * s["KW"]


def _pixels(s: Mapping[str, Dim]) -> Dim:
    return s["OD"] * s["OH"] * s["OW"]


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    lanes = int(params["lanes"])
    offsets = _taps(s) * (int(params["vectors"]) * (1 + lanes) * 8)
    square = lanes * _vector_bytes(params)
    places = 3 * _row_bytes(params)
    # Slack for the rounding of addresses to vectors.
    rows = (s["oc_blocks"] * lanes + s["group_count"] * _group_rows(params)) * _row_bytes(params)
    return _HELD_BYTES + LINE_BYTES + offsets + LINE_BYTES + places + square + rows


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return s["N"] * ceil_div(_pixels(s), _tile_pixels(params)) * ceil_div(s["YB"], s["oc_blocks"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    pixels = _pixels(s)
    assert isinstance(pixels, int)
    index_row = 1 + lanes // int(params["share"])
    return (
        images_access("x", s, s["XB"] * s["D"] * s["H"] * s["W"] * pixel_bytes(params), False, element_bytes(params)),
        Access("entries", 0, s["entry_words"] * 4, False),
        Access("index", 0, s["parts"] * s["YB"] * index_row * 8, False),
        Access("groups", 0, s["group_count"] * GROUP_WORDS * 8, False),
        *epilogue_footprint(s, params, pixels),
        *prologue_accesses(s, params),
    )


def _table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    lanes, share = int(params["lanes"]), int(params["share"])
    rows = s["group_count"] * (pixel_bytes(params) // WORD_BYTES)
    taps = s["KD"] * s["KH"] * s["KW"]
    return ListBounds(
        *(s["entry_words"], s["parts"], share, lanes // share, s["YB"]),
        *(_row_bytes(params), rows, s["group_count"], s["XB"], taps),
    ).refusal(tables)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.sparse_arithmetic import list_arithmetic
    from cnnc.runtime.cpu.sparse_pixels import emit_pixels
    from cnnc.runtime.cpu.sparse_tile import emit_list
    from cnnc.runtime.cpu.vector import I32, constant, intrinsic

    vectors, share = int(params["vectors"]), int(params["share"])
    arithmetic = list_arithmetic(element_of(params))
    whole = vectors * target.lanes
    last = int(params.get("last", whole))
    run_list = intrinsic(target, lambda b, *values: emit_list(b, arithmetic, whole, share, *values), 6)
    run_last = intrinsic(target, lambda b, *values: emit_list(b, arithmetic, last, share, *values), 6)
    copy_rows, store = _moves(target, params)
    step = pixel_bytes(params)
    find_pixels = intrinsic(target, lambda b, *values: emit_pixels(b, step, *values), 9)
    memory = memory_ops(target)
    load_index, store_index = memory.load_index, memory.store_index
    store_word = intrinsic(target, lambda b, address, value: b.store_word(b.ir.trunc(value, I32), address), 2)
    vector_bytes, lanes_of = constant(target, target.vector_bytes), constant(target, target.lanes)
    block_bytes, input_bytes = constant(target, pixel_bytes(params)), constant(target, element_bytes(params))
    tile_vectors, lists_of = constant(target, vectors), constant(target, target.lanes // share)
    list_channels, entry_bytes = constant(target, share), constant(target, (1 + share) * WORD_BYTES)
    gated, has_last = constant(target, int(is_gated(params))), constant(target, int(last != whole))

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        LANES_BYTES, BYTES, LANES, VECTORS, LISTS = (
            vector_bytes(), block_bytes(), lanes_of(), tile_vectors(), lists_of(),
        )  # fmt: skip
        x, entries, index, groups = args[0], args[1], args[2], args[3]
        bias, residual, slopes, y = args[4], args[5], args[6], args[7]
        input_scale, input_shift = args[8], args[9]
        XB, YB, D, H, W, OD, OH, OW = args[11], args[12], args[13], args[14], args[15], args[16], args[17], args[18]
        KD, KH, KW, SD, SH, SW = args[19], args[20], args[21], args[22], args[23], args[24]
        DD, DH, DW, PD, PH, PW = args[25], args[26], args[27], args[28], args[29], args[30]
        group_count, parts, oc_blocks, alpha, beta = args[31], args[32], args[34], args[35], args[36]
        x_gap, y_gap, residual_gap = args[37] * input_bytes(), args[38] * input_bytes(), args[39] * input_bytes()
        input_alpha, input_beta, input_image, fill = args[40], args[41], args[42] * 4, args[43]

        row_bytes = VECTORS * LANES_BYTES
        group_bytes = BYTES // 4 * row_bytes
        tile_pixels = VECTORS * LANES
        vector_offsets = (1 + LANES) * 8
        offsets = scratch + 64
        padding = (offsets + KD * KH * KW * VECTORS * vector_offsets + 63) // 64 * 64
        places = padding + 64
        square = places + 3 * row_bytes
        sums = square + LANES * LANES_BYTES
        panel = sums + oc_blocks * LANES * row_bytes
        x_block = D * H * W * BYTES
        pixels = OD * OH * OW
        tiles = (pixels + tile_pixels - 1) // tile_pixels
        oc_groups = (YB + oc_blocks - 1) // oc_blocks
        index_row = (1 + LISTS) * 8
        # Whether the pixels of x are those of y.
        is_plain = KD * KH * KW * SD * SH * SW == 1 and PD == 0 and PH == 0 and PW == 0 and pixels == D * H * W

        held = load_index(scratch) - 1
        for item in range(begin, end):
            tile = item // oc_groups
            oc_begin = (item - tile * oc_groups) * oc_blocks
            oc_end = min(oc_begin + oc_blocks, YB)
            image = tile // tiles
            first = (tile - image * tiles) * tile_pixels
            count = min(tile_pixels, pixels - first)
            vectors_used = (count + LANES - 1) // LANES
            if tile != held:
                held = tile
                store_index(scratch, held + 1)
                for number in range(8):
                    store_index(padding + number * 8, fill << 32 | fill)
                if is_plain:
                    for vector in range(count // LANES):
                        store_index(offsets + vector * vector_offsets, 1)
                        store_index(offsets + vector * vector_offsets + 8, (first + vector * LANES) * BYTES)
                plain_vectors = count // LANES if is_plain else 0
                row = first // OW
                depth = row // OH
                ow, oh = first - row * OW, row - depth * OH
                for number in range(tile_pixels if plain_vectors < VECTORS else 0):
                    place = places + number * 4
                    store_word(place, ow * SW - PW)
                    store_word(place + row_bytes, oh * SH - PH)
                    store_word(place + 2 * row_bytes, depth * SD - PD)
                    # The last pixel stands for those behind it.
                    if number < count - 1:
                        ow += 1
                        if ow == OW:
                            ow = 0
                            oh += 1
                            if oh == OH:
                                oh = 0
                                depth += 1
                table = offsets + plain_vectors * vector_offsets
                for kd in range(KD):
                    for kh in range(KH):
                        for kw in range(KW):
                            for vector in range(plain_vectors, VECTORS):
                                find_pixels(
                                    table, places + vector * LANES_BYTES, row_bytes, kw * DW, kh * DH, kd * DD, W, H, D
                                )
                                table += vector_offsets
                image_x = x + image * (XB * x_block + x_gap)
                image_scale = input_scale + (image * input_image if gated() else 0)
                for group in range(group_count):
                    block = load_index(groups + group * 16)
                    tap_offsets = offsets + load_index(groups + group * 16 + 8) * VECTORS * vector_offsets
                    for vector in range(vectors_used):
                        copy_rows(
                            panel + group * group_bytes + vector * LANES_BYTES, row_bytes, image_x + block * x_block,
                            tap_offsets + vector * vector_offsets, padding, image_scale + block * LANES_BYTES,
                            input_shift + block * LANES_BYTES, input_alpha, input_beta,
                        )  # fmt: skip
            for part in range(parts):
                for oc in range(oc_begin, oc_end):
                    row = index + (part * YB + oc) * index_row
                    entry = entries + load_index(row)
                    block_sums = sums + ((oc - oc_begin) * LANES * row_bytes if parts > 1 else 0)
                    for number in range(LISTS):
                        length = load_index(row + 8 + number * 8)
                        list_sums = block_sums + number * list_channels() * row_bytes
                        if has_last() and count < tile_pixels:
                            run_last(panel, entry, length, list_sums, row_bytes, part)
                        else:
                            run_list(panel, entry, length, list_sums, row_bytes, part)
                        entry += length * entry_bytes()
                    if part == parts - 1:
                        y_offset = ((image * YB + oc) * pixels + first) * BYTES
                        for vector in range(vectors_used):
                            store(
                                square, block_sums + vector * LANES_BYTES, row_bytes, bias + oc * LANES_BYTES,
                                slopes + oc * LANES_BYTES,
                                residual + image * residual_gap + y_offset + vector * LANES * BYTES,
                                y + image * y_gap + y_offset + vector * LANES * BYTES,
                                min(LANES, count - vector * LANES), alpha, beta,
                            )  # fmt: skip

    return kernel


def _moves(target: Target, params: Params) -> tuple[Any, Any]:
    """``copy_rows`` and ``store`` for Numba code: see ``sparse_tile``, and ``sparse_byte_tile`` of bytes."""
    from cnnc.runtime.cpu.prologue import input_transform
    from cnnc.runtime.cpu.sparse_byte_tile import emit_byte_results, emit_byte_rows
    from cnnc.runtime.cpu.sparse_tile import emit_results, emit_rows
    from cnnc.runtime.cpu.vector import intrinsic

    element = element_of(params)
    transform = input_transform(params, gates_input=True)
    activation, has_residual = str(params["activation"]), bool(params["residual"])

    def copy_rows(b: Any, *values: Any) -> None:
        if element == "f32":
            emit_rows(b, transform, "prologue" in params, *values)
        else:
            emit_byte_rows(b, element == "i8", *values[:5])

    def store(b: Any, *values: Any) -> None:
        if element == "f32":
            emit_results(b, activation, has_residual, *values)
        else:
            square, sums, pitch, bias, factors, _, y, count, zero_point, least = values
            emit_byte_results(b, square, sums, pitch, bias, factors, y, count, zero_point, least)

    return intrinsic(target, copy_rows, 9), intrinsic(target, store, 10)


KERNEL = KernelDef(
    NAME,
    BUFFERS,
    SIZES,
    _build,
    _items,
    _footprint,
    _scratch_bytes,
    inplace=residual_inplace,
    tables=("entries", "index", "groups"),
    table_refusal=_table_refusal,
)
