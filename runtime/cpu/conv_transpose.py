"""conv_transpose.f32.blocked: transposed convolution, any window, stride, dilation, padding, output padding and groups.

The gather form: output row oy reads the input rows iy with iy * SH + ky * DH - PH = oy. Outputs of equal (oy mod SH,
ox mod SW), a *phase*, use the same taps, and within a phase neighbouring outputs read neighbouring inputs. So each
phase is an ordinary stride-1 convolution with some of the taps, whose pixels are stored SW columns and SH rows apart;
it runs on the same register tile. A phase without taps (stride larger than the window) holds the bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div, floor_div, round_up
from cnnc.runtime.cpu.conv_footprint import GAPS, conv_footprint
from cnnc.runtime.cpu.tile_table import has_wide_sums
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv_transpose.f32.blocked"
BUFFERS = ("x", "weights", "segments", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "XB", "D", "H", "W", "YB", "OD", "OH", "OW"),
    *("KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW", "PD", "PH", "PW"),
    *("segment_count", "segment_rows", "weight_floats", "row_tiles", "column_tiles", "oc_tiles", "alpha", "beta"),
    *GAPS,
)
"""XB, YB: channel blocks of x and y. P*: ONNX's pads at the beginning; those at the end and output_padding only show in
OD, OH, OW. row_tiles, column_tiles: tiles of one phase in one work item, over maps of ceil(OH/SH) x ceil(OW/SW).
The rest, and the variant parameters (rows, columns, blocks, activation, residual, lanes), are those of
``conv.f32.blocked.direct``."""


def as_convolution(w: NDArray[Any], groups: int) -> NDArray[Any]:
    """ONNX's ConvTranspose weights [IC, OC/groups, window...] as [OC, IC/groups, window...], for ``pack_weights``."""
    ic, oc_group, *window = w.shape
    split = w.reshape(groups, ic // groups, oc_group, *window)
    return np.ascontiguousarray(np.swapaxes(split, 1, 2)).reshape(groups * oc_group, ic // groups, *window)


def _span(s: Mapping[str, Dim], axis: str) -> Dim:
    """Input rows (columns) that the outputs of one input row reach beyond the first, over all phases."""
    stride, pad, reach = s["S" + axis], s["P" + axis], (s["K" + axis] - 1) * s["D" + axis]
    return floor_div(stride - 1 + pad, stride) - floor_div(pad - reach, stride)


def _table_bytes(s: Mapping[str, Dim]) -> Dim:
    return round_up(s["segment_count"] * s["KD"] * s["KH"] * s["KW"] * 24, 64)


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    rows = s["row_tiles"] * int(params["rows"]) + _span(s, "H")
    pitch = s["column_tiles"] * int(params["columns"]) + _span(s, "W")
    return _table_bytes(s) + s["XB"] * s["KD"] * rows * pitch * (int(params["lanes"]) * 4)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    row_groups = ceil_div(ceil_div(s["OH"], s["SH"]), s["row_tiles"] * int(params["rows"]))
    column_groups = ceil_div(ceil_div(s["OW"], s["SW"]), s["column_tiles"] * int(params["columns"]))
    oc_groups = ceil_div(floor_div(s["YB"], int(params["blocks"])), s["oc_tiles"])
    return s["N"] * s["OD"] * row_groups * column_groups * oc_groups


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    x_image = s["XB"] * s["D"] * s["H"] * s["W"] * int(params["lanes"]) * 4
    return conv_footprint(s, params, x_image, s["OD"] * s["OH"] * s["OW"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.tile import TILE_ARGS, Tile, emit_tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    rows, columns, blocks = int(params["rows"]), int(params["columns"]), int(params["blocks"])
    tile_rows, tile_columns = constant(target, rows), constant(target, columns)
    tile_blocks, vector_bytes = constant(target, blocks), constant(target, target.vector_bytes)
    tile = Tile(
        rows,
        columns,
        blocks,
        target.vector_bytes,
        str(params["activation"]),
        bool(params["residual"]),
        wide=has_wide_sums(params),
    )
    run_tile = intrinsic(target, lambda b, *values: emit_tile(b, tile, *values), len(TILE_ARGS))
    memory = memory_ops(target)
    load_index, store_index = memory.load_index, memory.store_index
    copy_vectors, zero_vectors = memory.copy_vectors, memory.zero_vectors

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        ROWS, COLUMNS, BLOCKS, BYTES = tile_rows(), tile_columns(), tile_blocks(), vector_bytes()
        x, weights, segments, bias = args[0], args[1], args[2], args[3]
        residual, slopes, y = args[4], args[5], args[6]
        XB, D, H, W, YB, OD, OH, OW = args[8], args[9], args[10], args[11], args[12], args[13], args[14], args[15]
        KD, KH, KW, SD, SH, SW = args[16], args[17], args[18], args[19], args[20], args[21]
        DD, DH, DW, PD, PH, PW = args[22], args[23], args[24], args[25], args[26], args[27]
        segment_count, row_tiles, column_tiles, oc_tiles = args[28], args[31], args[32], args[33]
        alpha, beta = args[34], args[35]
        x_gap, y_gap, residual_gap = args[36] * 4, args[37] * 4, args[38] * 4

        table = scratch
        slab = scratch + (segment_count * KD * KH * KW * 24 + 63) // 64 * 64
        phase_rows = (OH + SH - 1) // SH
        phase_columns = (OW + SW - 1) // SW
        row_groups = (phase_rows + row_tiles * ROWS - 1) // (row_tiles * ROWS)
        column_groups = (phase_columns + column_tiles * COLUMNS - 1) // (column_tiles * COLUMNS)
        all_oc_tiles = YB // BLOCKS
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles
        # Input rows of output row i * SH + py begin at i + least_row.
        least_row = (PH - (KH - 1) * DH) // SH
        least_column = (PW - (KW - 1) * DW) // SW
        slab_rows = row_tiles * ROWS + (SH - 1 + PH) // SH - least_row
        pitch = column_tiles * COLUMNS + (SW - 1 + PW) // SW - least_column
        slab_row = pitch * BYTES
        slab_plane = slab_rows * slab_row

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
            row_end = min(row_begin + row_tiles * ROWS, phase_rows)
            column_end = min(column_begin + column_tiles * COLUMNS, phase_columns)

            first_block = XB
            last_block = -1
            for oc in range(oc_begin, oc_end):
                head = segments + oc * 24
                place = segments + (all_oc_tiles + load_index(head)) * 24
                for _ in range(load_index(head + 8)):
                    first_block = min(first_block, load_index(place))
                    last_block = max(last_block, load_index(place))
                    place += 24

            left = column_begin + least_column
            low = min(max(-left, 0), pitch)
            high = max(min(W - left, pitch), low)
            for block in range(first_block, last_block + 1):
                for kd in range(KD):
                    z = (depth + PD - kd * DD) // SD
                    if z < 0 or z >= D or z * SD != depth + PD - kd * DD:
                        continue
                    plane = slab + ((block - first_block) * KD + kd) * slab_plane
                    source = x + image * x_gap + (((image * XB + block) * D + z) * H * W + left) * BYTES
                    for row in range(slab_rows):
                        iy = row_begin + least_row + row
                        if iy < 0 or iy >= H:
                            zero_vectors(plane + row * slab_row, pitch)
                            continue
                        zero_vectors(plane + row * slab_row, low)
                        copy_vectors(
                            plane + row * slab_row + low * BYTES, source + (iy * W + low) * BYTES, BYTES, high - low
                        )
                        zero_vectors(plane + row * slab_row + high * BYTES, pitch - high)

            for oc in range(oc_begin, oc_end):
                head = segments + oc * 24
                lanes_offset = oc * BLOCKS * BYTES
                channel_block = image * YB + oc * BLOCKS
                for phase in range(SH * SW):
                    py = phase // SW
                    px = phase - py * SW
                    entries = 0
                    weight_offset = 0
                    place = segments + (all_oc_tiles + load_index(head)) * 24
                    for _ in range(load_index(head + 8)):
                        base = (load_index(place) - first_block) * KD * slab_plane + load_index(place + 8) * 4
                        count = load_index(place + 16)
                        place += 24
                        for kd in range(KD):
                            z = (depth + PD - kd * DD) // SD
                            used = 0 <= z < D and z * SD == depth + PD - kd * DD
                            for ky in range(KH):
                                row = (py + PH - ky * DH) // SH
                                row_used = used and row * SH == py + PH - ky * DH
                                for kx in range(KW):
                                    column = (px + PW - kx * DW) // SW
                                    if row_used and column * SW == px + PW - kx * DW:
                                        entry = table + entries * 24
                                        pixel = (row - least_row) * slab_row + (column - least_column) * BYTES
                                        store_index(entry, base + kd * slab_plane + pixel)
                                        store_index(entry + 8, weight_offset)
                                        store_index(entry + 16, count)
                                        entries += 1
                                    weight_offset += count * BLOCKS * BYTES
                    for row in range(row_begin, row_end, ROWS):
                        for column in range(column_begin, column_end, COLUMNS):
                            pixel = ((channel_block * OD + depth) * OH + row * SH + py) * OW + column * SW + px
                            run_tile(
                                slab + (row - row_begin) * slab_row + (column - column_begin) * BYTES,
                                slab_row,
                                4,
                                weights + load_index(head + 16) * 4,
                                table,
                                entries,
                                bias + lanes_offset,
                                slopes + lanes_offset,
                                residual + image * residual_gap + pixel * BYTES,
                                y + image * y_gap + pixel * BYTES,
                                SW * BYTES,
                                SH * OW * BYTES,
                                OD * OH * OW * BYTES,
                                (OW - px + SW - 1) // SW - column,
                                (OH - py + SH - 1) // SH - row,
                                0,
                                alpha,
                                beta,
                            )

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes)
