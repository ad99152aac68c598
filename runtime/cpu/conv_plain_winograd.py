"""conv.f32.blocked.plain_winograd: convolution of a plain (NCHW) map with blocked output by Winograd's method in rows.

For the first layers of networks, whose windows are large and whose channels are few: all window rows are summed
directly, F(m, r) saves products along the columns only. A stride of SW divides the window's columns into SW *phases* of
r = ceil(KW / SW) taps at most, each a convolution with stride 1 over every SW-th column. All phases use the points of
F(m, r), so their products add up before the inverse transform: m outputs cost (m + r - 1) * SW products instead of
m * KW for each channel and window row (7x7 with stride 2: 14 instead of 28).

A work item is a group of output rows. Its input rows are transformed once, into V [position][channel][KD][row][phase]
[tile]; vectors run along the tiles. For each output row and register tile of output channels, every position is a
matrix product over channels, window rows and phases; its sums M [position][block][tile][lane] are transformed, and the
epilogue is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div, floor_div, round_up
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cpu.winograd_matrices import matrices
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.plain_winograd"
BUFFERS = ("x", "weights", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "C", "D", "H", "W", "YB", "OD", "OH", "OW"),
    *("KD", "KH", "SD", "SH", "DD", "PD", "PH", "PW"),
    *("item_rows", "alpha", "beta"),
    *GAPS,
)
"""C: channels of x, all of which every output reads. YB: channel blocks of y. P*: padding before. item_rows: output
rows of a work item. residual and slopes are 0 where the variant has none. Variant parameters: outputs (m), window (KW),
stride (SW), columns (Winograd tiles of a register tile), blocks, activation, residual (0 or 1), lanes."""


def phase_taps(window: int, stride: int) -> int:
    """Taps of the longest phase, r."""
    return -(-window // stride)


def pack_plain_winograd(w: NDArray[Any], outputs: int, stride: int, lanes: int, blocks: int) -> NDArray[np.float32]:
    """``w`` [OC, C, KD, KH, KW] (or fewer spatial axes), transformed.

    Gives [OC tile][position][C][KD][KH][phase][block][lane]. Pad lanes are zero, and so are taps that a phase has less
    than the longest. Computed in float64 and rounded once.
    """
    w = np.asarray(w, np.float64)
    w = w.reshape(*w.shape[:2], *(1,) * (5 - w.ndim), *w.shape[2:])
    taps, width = phase_taps(w.shape[4], stride), blocks * lanes
    padded = np.zeros((-(-w.shape[0] // width) * width, *w.shape[1:4], taps * stride))
    padded[: w.shape[0], ..., : w.shape[4]] = w
    phases = padded.reshape(-1, width, *w.shape[1:4], taps, stride)
    at_positions = np.einsum("tocdyrp,ar->tacdypo", phases, matrices(outputs, taps).filters)
    return np.ascontiguousarray(at_positions, np.float32).reshape(-1)


def _positions(params: Params) -> int:
    return int(params["outputs"]) + phase_taps(int(params["window"]), int(params["stride"])) - 1


def _row_floats(s: Mapping[str, Dim], params: Params) -> Dim:
    """Floats of one transformed row and phase: tiles of whole register tiles and vectors."""
    tiles = ceil_div(s["OW"], int(params["outputs"]) * int(params["columns"])) * int(params["columns"])
    return round_up(tiles, int(params["lanes"]))


def _odd(count: Dim) -> Dim:
    return floor_div(count, 2) * 2 + 1


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    lanes, stride, row = int(params["lanes"]), int(params["stride"]), _row_floats(s, params)
    rows = (s["item_rows"] - 1) * s["SH"] + s["KH"]
    planes = int(params["outputs"]) * stride * (row + _beyond(params)) * 4
    v = _odd(floor_div(s["C"] * s["KD"] * rows * stride * row, lanes))
    m = _odd(row * int(params["blocks"]))
    return round_up(s["C"] * s["KD"] * 24, 64) + planes + (v + m) * (_positions(params) * lanes * 4)


def _beyond(params: Params) -> int:
    """Floats that a plane of columns has beyond those of a row: the last tile's inputs, in whole vectors."""
    reach = int(params["stride"]) * _positions(params) - 1
    tiles, lanes = reach // (int(params["outputs"]) * int(params["stride"])), int(params["lanes"])
    return -(-tiles // lanes) * lanes


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return s["N"] * s["OD"] * ceil_div(s["OH"], s["item_rows"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    products = s["C"] * s["KD"] * s["KH"] * int(params["stride"]) * _positions(params)
    return (
        images_access("x", s, s["C"] * s["D"] * s["H"] * s["W"] * 4, False),
        Access("weights", 0, products * s["YB"] * int(params["lanes"]) * 4, False),
        *epilogue_footprint(s, params, s["OD"] * s["OH"] * s["OW"]),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.plain_winograd_transform import COLUMN_ARGS, emit_column_transform
    from cnnc.runtime.cpu.tile import TILE_ARGS, Tile, emit_tile
    from cnnc.runtime.cpu.vector import constant, intrinsic
    from cnnc.runtime.cpu.winograd_arithmetic import FloatWinograd
    from cnnc.runtime.cpu.winograd_transform import OUTPUT_ARGS, TileShape, emit_output_transform

    columns, blocks, stride = int(params["columns"]), int(params["blocks"]), int(params["stride"])
    outputs, taps = int(params["outputs"]), phase_taps(int(params["window"]), stride)
    shape = TileShape(1, outputs, (1, taps))
    activation, residual_too, arithmetic = str(params["activation"]), bool(params["residual"]), FloatWinograd()
    tile = Tile(1, columns, blocks, 4, "none", False, raw=True)
    run_tile = intrinsic(target, lambda b, *values: emit_tile(b, tile, *values), len(TILE_ARGS))
    transform_columns = intrinsic(
        target, lambda b, *values: emit_column_transform(b, outputs, taps, stride, *values), len(COLUMN_ARGS)
    )
    transform_output = intrinsic(
        target,
        lambda b, *values: emit_output_transform(b, shape, arithmetic, activation, residual_too, *values),
        len(OUTPUT_ARGS),
    )
    register_columns, register_blocks = constant(target, columns), constant(target, blocks)
    vector_bytes, vector_lanes = constant(target, target.vector_bytes), constant(target, target.lanes)
    tile_outputs, phases, position_count = (
        constant(target, outputs),
        constant(target, stride),
        constant(target, outputs + taps - 1),
    )
    beyond = constant(target, _beyond(params))
    memory = memory_ops(target)
    store_index, copy_floats, fill_floats = memory.store_index, memory.copy_floats, memory.fill_floats
    expect_writes = memory.expect_writes

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        COLUMNS, BLOCKS, BYTES, LANES = register_columns(), register_blocks(), vector_bytes(), vector_lanes()
        OUTPUTS, PHASES, POSITIONS = tile_outputs(), phases(), position_count()
        x, weights, bias, residual, slopes, y = args[0], args[1], args[2], args[3], args[4], args[5]
        C, D, H, W, YB, OD, OH, OW = args[7], args[8], args[9], args[10], args[11], args[12], args[13], args[14]
        KD, KH, SD, SH, DD, PD, PH, PW = (
            args[15], args[16], args[17], args[18], args[19], args[20], args[21], args[22],
        )  # fmt: skip
        item_rows, alpha, beta = args[23], args[24], args[25]
        x_gap, y_gap, residual_gap = args[26] * 4, args[27] * 4, args[28] * 4

        step = OUTPUTS * PHASES  # columns between the inputs of two tiles
        tiles = (OW + OUTPUTS - 1) // OUTPUTS
        register_tiles = (tiles + COLUMNS - 1) // COLUMNS
        row_bytes = (register_tiles * COLUMNS + LANES - 1) // LANES * BYTES
        plane_bytes = row_bytes + beyond() * 4
        slab_rows = (item_rows - 1) * SH + KH
        v_position = (C * KD * slab_rows * PHASES * row_bytes // BYTES // 2 * 2 + 1) * BYTES
        m_block = row_bytes * LANES
        m_position = (m_block * BLOCKS // BYTES // 2 * 2 + 1) * BYTES
        table = scratch
        planes = table + (C * KD * 24 + 63) // 64 * 64
        v = planes + step * plane_bytes
        m = v + POSITIONS * v_position
        row_weights = PHASES * BLOCKS * BYTES
        position_weights = C * KD * KH * row_weights
        row_groups = (OH + item_rows - 1) // item_rows

        for item in range(begin, end):
            first_row = item % row_groups * item_rows
            last_row = min(first_row + item_rows, OH)
            rest = item // row_groups
            depth = rest % OD
            image = rest // OD
            image_x = x + image * (C * D * H * W * 4 + x_gap)
            slab_begin = first_row * SH - PH
            for plane in range(C * KD):
                z = depth * SD + plane % KD * DD - PD
                if z < 0 or z >= D:
                    continue
                for iy in range(max(slab_begin, 0), min((last_row - 1) * SH - PH + KH, H)):
                    source = image_x + ((plane // KD * D + z) * H + iy) * W * 4
                    # Plane u holds columns u - PW, u - PW + step, ..., zeros for those in the padding.
                    for u in range(step):
                        place = planes + u * plane_bytes
                        low = min(max((PW - u + step - 1) // step, 0), plane_bytes // 4)
                        high = max(min((W - 1 - u + PW) // step + 1, plane_bytes // 4), low)
                        fill_floats(place, low, 0)
                        copy_floats(place + low * 4, source + (low * step + u - PW) * 4, step * 4, high - low)
                        fill_floats(place + high * 4, plane_bytes // 4 - high, 0)
                    target_row = v + (plane * slab_rows + iy - slab_begin) * PHASES * row_bytes
                    for offset in range(0, row_bytes, BYTES):
                        transform_columns(planes + offset, plane_bytes, target_row + offset, row_bytes, v_position)

            for row in range(first_row, last_row):
                low = max(PH - row * SH, 0)  # window rows low..high-1 lie in the input
                high = min(H + PH - row * SH, KH)
                entries = 0
                for plane in range(C * KD):
                    z = depth * SD + plane % KD * DD - PD
                    if 0 <= z < D and low < high:
                        entry = table + entries * 24
                        entry_row = plane * slab_rows + (row - first_row) * SH + low
                        store_index(entry, entry_row * PHASES * row_bytes)
                        store_index(entry + 8, (plane * KH + low) * row_weights)
                        store_index(entry + 16, (high - low) * PHASES)
                        entries += 1
                for oc in range(YB // BLOCKS):
                    for position in range(POSITIONS):
                        # The transform writes in bursts, for which its lines should be there.
                        expected = OW * position // POSITIONS
                        for block in range(BLOCKS):
                            pixel = (((image * YB + oc * BLOCKS + block) * OD + depth) * OH + row) * OW + expected
                            expect_writes(
                                y + image * y_gap + pixel * BYTES, OW * (position + 1) // POSITIONS - expected
                            )
                        for number in range(register_tiles):
                            first = number * COLUMNS
                            run_tile(
                                v + position * v_position + first * 4,
                                0,
                                row_bytes,
                                weights + (oc * POSITIONS + position) * position_weights,
                                table,
                                entries,
                                0,
                                0,
                                0,
                                m + position * m_position + first * BYTES,
                                BYTES,
                                0,
                                m_block,
                                COLUMNS,
                                1,
                                0,
                                0,
                                0,
                            )
                    for block in range(BLOCKS):
                        lanes_offset = (oc * BLOCKS + block) * BYTES
                        pixel = (((image * YB + oc * BLOCKS + block) * OD + depth) * OH + row) * OW * BYTES
                        for tile in range(tiles):
                            place = pixel + tile * OUTPUTS * BYTES
                            transform_output(
                                m + block * m_block + tile * BYTES,
                                m_position,
                                bias + lanes_offset,
                                slopes + lanes_offset,
                                residual + image * residual_gap + place,
                                y + image * y_gap + place,
                                0,
                                BYTES,
                                1,
                                OW - tile * OUTPUTS,
                                alpha,
                                beta,
                            )

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
