"""``conv_transpose.f32.grouped``: transposed convolution of any groups, in any lanes.

x and y are blocked, [N][C/8][D][H][W][8]; any window, stride, dilation, padding. A thread computes half a block of
channels of an output pixel; threads count through halves, pixels, blocks and images, so that a warp stores whole
sectors. Output o of an axis reads the inputs i with i * stride + k * dilation - begin = o: a thread finds the first
such tap k, the others follow every ``T`` taps. Weights and the table of lanes are those of ``conv.f32.grouped``.

Groups of whole blocks are cheaper as products (``conv.f32.implicit_gemm``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_footprint import epilogue_footprint, images_access
from cnnc.runtime.cuda.conv_grouped import BUFFERS, QUAD, table_entries, table_refusal
from cnnc.runtime.cuda.conv_grouped import SIZES as GROUPED_SIZES
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv_transpose.f32.grouped"
SIZES = (*GROUPED_SIZES, "TD", "TH", "TW")
"""As of ``conv.f32.grouped``; T*: stride / gcd(stride, dilation). Variant parameters: quads, activation, residual (0 or
1), lanes (8)."""

THREADS = 128
RESIDENT = 4
"""Blocks that a multiprocessor shall hold: threads get 128 registers."""


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(s["N"] * s["YB"] * s["OD"] * s["OH"] * s["OW"] * (LANES // QUAD), THREADS)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    taps = s["KD"] * s["KH"] * s["KW"]
    return (
        images_access("x", s, s["XB"] * s["D"] * s["H"] * s["W"] * LANES * 4, False),
        Access("weights", 0, s["YB"] * LANES * taps * s["inputs"] * 4, False),
        Access("lanes", 0, table_entries(s, params) * 4, False),
        *epilogue_footprint(s, params, s["OD"] * s["OH"] * s["OW"]),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda, types

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined
    from cnnc.runtime.cuda.intrinsics import QUAD as FLOATS
    from cnnc.runtime.cuda.memory_access import load, load_i32, load_quad

    finish = output_epilogue(params)
    quads = bool(params["quads"])
    entry_inputs = QUAD if quads else 1
    none = 1 << 30

    def find_first(output: int, stride: int, dilation: int, begin: int, step: int) -> Any:
        """(first tap, its input, inputs from one tap to the next) of an output."""
        place, back = output + begin, dilation * stride
        for tap in range(step):
            # The dividend is not negative: a tap below ``step`` moves by less than ``back``.
            input_, rest = divide(place + back - tap * dilation, stride)
            if rest == 0:
                return tap, input_ - dilation, divide(step * dilation, stride)[0]
        return none, 0, 0

    first_of = inlined(types.UniTuple(INT, 3), [INT] * 5, find_first)

    def load_lane(table: int, pixel: int, block_bytes: int) -> Any:
        block, lane = divide(load_i32(table), LANES)
        return load(pixel + block * block_bytes + 4 * lane)

    x_lane = inlined(FLOAT, [INT, INT, INT], load_lane)

    def add_products(sums: Any, x: Any, weights: Any) -> Any:
        s0, s1 = sums[0] + x[0] * weights[0], sums[1] + x[1] * weights[1]
        return s0, s1, sums[2] + x[2] * weights[2], sums[3] + x[3] * weights[3]

    added = inlined(FLOATS, [FLOATS] * 3, add_products)

    def conv_transpose_grouped(args: Any) -> None:
        x, weights, lanes, bias, residual, slopes, y = args[:7]
        images, x_blocks, y_blocks, depth, height, width, out_d, out_h, out_w = args[7:16]
        kernel_d, kernel_h, kernel_w, stride_d, stride_h, stride_w = args[16:22]
        dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[22:28]
        inputs, alpha, beta, x_gap, y_gap, residual_gap, step_d, step_h, step_w = args[28:]

        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        outputs, block_bytes = out_d * out_h * out_w, 4 * LANES * depth * height * width
        if number >= images * y_blocks * outputs * 2:
            return
        rest, half = divide(number, 2)
        rest, place = divide(rest, outputs)
        image, block = divide(rest, y_blocks)
        row, out_x = divide(place, out_w)
        out_z, out_y = divide(row, out_h)
        half_block = 2 * block + half
        first_z, z, move_z = first_of(out_z, stride_d, dilation_d, begin_d, step_d)
        first_y, top, move_y = first_of(out_y, stride_h, dilation_h, begin_h, step_h)
        first_x, left, move_x = first_of(out_x, stride_w, dilation_w, begin_w, step_w)

        image_at = x + image * (x_blocks * block_bytes + 4 * x_gap)
        entries = inputs // entry_inputs
        weights_of = weights + 16 * half_block * kernel_d * kernel_h * kernel_w * inputs
        table = lanes + 4 * half_block if quads else lanes + 16 * half_block * inputs
        first_quad = load_i32(table) if quads else 0
        zero = np.float32(0)
        sums = zero, zero, zero, zero
        for tap_z in range(first_z, kernel_d, step_d):
            in_y = top
            for tap_y in range(first_y, kernel_h, step_h):
                in_x = left
                for tap_x in range(first_x, kernel_w, step_w):
                    if 0 <= z < depth and 0 <= in_y < height and 0 <= in_x < width:
                        pixel = image_at + 4 * LANES * ((z * height + in_y) * width + in_x)
                        at = weights_of + 16 * inputs * ((tap_z * kernel_h + tap_y) * kernel_w + tap_x)
                        for entry in range(entries):
                            if quads:
                                quad = first_quad + entry
                                v = load_quad(pixel + quad // 2 * block_bytes + 16 * (quad % 2))
                                sums = added(sums, (v[0], v[0], v[0], v[0]), load_quad(at))
                                sums = added(sums, (v[1], v[1], v[1], v[1]), load_quad(at + 16))
                                sums = added(sums, (v[2], v[2], v[2], v[2]), load_quad(at + 32))
                                sums = added(sums, (v[3], v[3], v[3], v[3]), load_quad(at + 48))
                            else:
                                lane = table + 16 * entry
                                v0, v1 = x_lane(lane, pixel, block_bytes), x_lane(lane + 4, pixel, block_bytes)
                                v2, v3 = x_lane(lane + 8, pixel, block_bytes), x_lane(lane + 12, pixel, block_bytes)
                                sums = added(sums, (v0, v1, v2, v3), load_quad(at))
                            at += 16 * entry_inputs
                    in_x -= move_x
                in_y -= move_y
            z -= move_z

        own = LANES * y_blocks * outputs
        element = (block * outputs + place) * LANES + 4 * half
        at = 16 * half_block
        target_at = y + 4 * (image * (own + y_gap) + element)
        other = residual + 4 * (image * (own + residual_gap) + element)
        finish(sums, target_at, bias + at, slopes + at, other, (alpha, beta))

    return conv_transpose_grouped


KERNEL = KernelDef(
    name=NAME,
    buffers=BUFFERS,
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    tables=("lanes",),
    table_refusal=table_refusal,
    threads=lambda params: THREADS,
    resident=lambda params: RESIDENT,
)
