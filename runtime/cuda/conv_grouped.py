"""``conv.f32.grouped``: convolution whose output channels read few inputs, or inputs in any lanes.

x and y are blocked, [N][C/8][D][H][W][8]; any window, stride, dilation, padding and groups. A thread computes ``rows``
outputs below each other for half a block of channels. Threads count through halves, columns, groups of rows, depths,
blocks of channels and images, as those of ``conv.f32.depthwise``. A product of whole blocks would multiply zeros for
most of a group's block: here a tap of g inputs costs g multiply-adds.

Where the four channels of a half are of one group whose inputs are whole quads of lanes that follow each other, the
table says where the first quad is (``quads``). Else it lists the lane of every input of every channel. Only those lanes
are read: nothing of pad lanes or of other groups gets into a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cuda.grouped_tile import GroupedTile, grouped_tile
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.grouped"
BUFFERS = ("x", "weights", "lanes", "bias", "residual", "slopes", "y")
SIZES = (
    *("N", "XB", "YB", "D", "H", "W", "OD", "OH", "OW"),
    *("KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW", "PD", "PH", "PW"),
    *("inputs", "alpha", "beta"),
    *GAPS,
)
"""XB, YB: channel blocks of x and y. P*: padding before. inputs: channels of x that a channel of y reads. Variant
parameters: rows (outputs of a thread), quads (0 or 1), activation, residual (0 or 1), lanes (8)."""

THREADS = 128
QUAD = 4
"""Lanes of half a block."""


@dataclass(frozen=True, slots=True)
class GroupedWeights:
    """Weights in the order of their use, and the table of the inputs.

    Attributes:
        weights: [half block][tap][quad of inputs][input][channel], or [half block][tap][input][channel].
        lanes: int32: the number of the first quad of inputs of each half block; or the lane of each input,
            [half block][input][channel].
        quads: which of both.
    """

    weights: NDArray[np.float32]
    lanes: NDArray[np.int32]
    quads: bool


def pack_grouped(weights: NDArray[Any], groups: int, input_lanes: Sequence[int]) -> GroupedWeights:
    """Pack ``weights`` [OC, IC/groups, *K]; absent channels weigh 0.

    Args:
        input_lanes: the lane of each channel of x.
    """
    oc, inputs = weights.shape[:2]
    halves = 2 * -(-oc // LANES)
    lanes = np.asarray(input_lanes, np.int32).reshape(groups, inputs)
    padded = np.zeros((halves * QUAD, inputs, int(np.prod(weights.shape[2:]))), np.float32)
    padded[:oc] = weights.reshape(oc, inputs, -1)
    by_tap = padded.reshape(halves, QUAD, inputs, -1).transpose(0, 3, 2, 1)
    group_of = np.minimum(np.arange(halves * QUAD), oc - 1).reshape(halves, QUAD) // (oc // groups)
    same = np.all(group_of == group_of[:, :1]) and inputs % QUAD == 0
    if same and np.all(lanes[:, :1] % QUAD == 0) and np.all(lanes == lanes[:, :1] + np.arange(inputs)):
        return GroupedWeights(np.ascontiguousarray(by_tap), lanes[group_of[:, 0], 0] // QUAD, True)
    return GroupedWeights(np.ascontiguousarray(by_tap), np.ascontiguousarray(lanes[group_of].swapaxes(1, 2)), False)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    groups = ceil_div(s["OH"], int(params["rows"]))
    return ceil_div(s["N"] * s["YB"] * s["OD"] * groups * s["OW"] * 2, THREADS)


def table_entries(s: Mapping[str, int], params: Params) -> int:
    """Numbers of the table of lanes."""
    return 2 * s["YB"] * (1 if params["quads"] else s["inputs"] * QUAD)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    taps = s["KD"] * s["KH"] * s["KW"]
    return (
        images_access("x", s, s["XB"] * s["D"] * s["H"] * s["W"] * LANES * 4, False),
        Access("weights", 0, s["YB"] * LANES * taps * s["inputs"] * 4, False),
        Access("lanes", 0, table_entries(s, params) * 4, False),
        *epilogue_footprint(s, params, s["OD"] * s["OH"] * s["OW"]),
    )


def table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    """Why the table of lanes leads out of x; None if it does not."""
    found = tables["lanes"][: table_entries(s, params) * 4].view(np.int32)
    if params["quads"]:
        first, behind, limit = found, found + s["inputs"] // QUAD, s["XB"] * 2
    else:
        first, behind, limit = found, found + 1, s["XB"] * LANES
    is_inside = found.size == 0 or (first.min() >= 0 and behind.max() <= limit)
    return None if is_inside else "a channel reads lanes that x does not have"


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import INT, for_each_quad, inlined
    from cnnc.runtime.cuda.memory_access import load_i32

    rows, quads = int(params["rows"]), bool(params["quads"])
    zero_tile, add_products = grouped_tile(GroupedTile(rows, quads))
    finish = output_epilogue(params)
    pixel = 4 * LANES
    entry_inputs, entry_bytes = (QUAD, 16 * QUAD) if quads else (1, 16)

    def finish_row(sums: Any, first: int, row: int, facts: Any) -> None:
        y, bias, slopes, residual, left, y_step, alpha, beta = facts
        if row < left:
            finish(sums, y + row * y_step, bias, slopes, residual + row * y_step, (alpha, beta))

    finish_rows = for_each_quad(4, rows, finish_row)

    def address_of_lane(table: int, plane: int, block_bytes: int) -> Any:
        block, lane = divide(load_i32(table), LANES)
        return plane + block * block_bytes + 4 * lane

    lane_address = inlined(INT, [INT, INT, INT], address_of_lane)

    def conv_grouped(args: Any) -> None:
        x, weights, lanes, bias, residual, slopes, y = args[:7]
        images, x_blocks, y_blocks, depth, height, width, out_d, out_h, out_w = args[7:16]
        kernel_d, kernel_h, kernel_w, stride_d, stride_h, stride_w = args[16:22]
        dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[22:28]
        inputs, alpha, beta, x_gap, y_gap, residual_gap = args[28:]

        groups = (out_h + rows - 1) // rows
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= images * y_blocks * out_d * groups * out_w * 2:
            return
        rest, half = divide(number, 2)
        rest, out_x = divide(rest, out_w)
        rest, group = divide(rest, groups)
        rest, out_z = divide(rest, out_d)
        image, block = divide(rest, y_blocks)
        first = group * rows

        block_bytes = depth * height * width * pixel
        image_at = x + image * (x_blocks * block_bytes + 4 * x_gap)
        entries = inputs // entry_inputs
        plane_taps = kernel_h * kernel_w
        half_block = 2 * block + half
        weights_of = weights + half_block * kernel_d * plane_taps * entries * entry_bytes
        table = lanes + 4 * half_block if quads else lanes + 16 * half_block * inputs
        first_quad = load_i32(table) if quads else 0
        top, left = first * stride_h - begin_h, out_x * stride_w - begin_w
        x_step = stride_h * width * pixel
        sums = zero_tile()
        for tap_z in range(kernel_d):
            z = out_z * stride_d + tap_z * dilation_d - begin_d
            if 0 <= z < depth:
                weights_at = weights_of + tap_z * plane_taps * entries * entry_bytes
                for tap_y in range(kernel_h):
                    row = top + tap_y * dilation_h
                    for tap_x in range(kernel_w):
                        column = left + tap_x * dilation_w
                        inside = int(0 <= column < width)
                        plane = image_at + ((z * height + row) * width + column) * pixel
                        for entry in range(entries):
                            if quads:
                                quad = first_quad + entry
                                x0 = plane + quad // 2 * block_bytes + 16 * (quad % 2)
                                x1, x2, x3 = x0, x0, x0
                            else:
                                at = table + 16 * entry
                                x0, x1 = lane_address(at, plane, block_bytes), lane_address(at + 4, plane, block_bytes)
                                x2 = lane_address(at + 8, plane, block_bytes)
                                x3 = lane_address(at + 12, plane, block_bytes)
                            sums = add_products(
                                sums, (x0, x1, x2, x3, x_step, row, stride_h, height, inside, weights_at)
                            )
                            weights_at += entry_bytes

        place = ((block * out_d + out_z) * out_h + first) * out_w + out_x
        own = y_blocks * out_d * out_h * out_w * LANES
        at = 16 * half_block
        finish_rows(
            sums,
            (
                y + 4 * image * (own + y_gap) + place * pixel + 16 * half,
                bias + at,
                slopes + at,
                residual + 4 * image * (own + residual_gap) + place * pixel + 16 * half,
                out_h - first,
                out_w * pixel,
                alpha,
                beta,
            ),
        )

    return conv_grouped


KERNEL = KernelDef(
    name=NAME,
    buffers=BUFFERS,
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=residual_inplace,
    tables=("lanes",),
    table_refusal=table_refusal,
    threads=lambda params: THREADS,
)
