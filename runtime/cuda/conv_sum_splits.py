"""``conv.f32.sum_splits``: the sums of a convolution whose products were shared out, with its epilogue.

    y = activation(partial[0] + partial[1] + ... + bias + residual)

``partial`` is [splits][N][YB][pixels][8], y a blocked tensor. A thread adds four channels of a pixel, split
after split, so that results do not depend on what ran first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_footprint import epilogue_footprint, residual_inplace
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.sum_splits"
THREADS = 256
SIZES = ("N", "YB", "pixels", "splits", "y_gap", "residual_gap", "alpha", "beta")
"""Compile-time parameters: ``activation`` and ``residual``, as of ``conv.f32.implicit_gemm``."""


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(s["N"] * s["YB"] * s["pixels"] * (LANES // 4), THREADS)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    partial = Access("partial", 0, s["splits"] * s["N"] * s["YB"] * s["pixels"] * LANES * 4, False)
    return partial, *epilogue_footprint(s, {**params, "lanes": LANES}, s["pixels"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load_quad

    epilogue = output_epilogue(params)

    def sum_splits(args: Any) -> None:
        y, partial, bias, slopes, residual, images, blocks, pixels, splits, y_gap, residual_gap = args[:11]
        quad = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        quads = blocks * pixels * (LANES // 4)
        if quad >= images * quads:
            return
        at, distance = partial + 16 * quad, 16 * images * quads
        v0, v1, v2, v3 = load_quad(at)
        for _ in range(1, splits):
            at += distance
            v = load_quad(at)
            v0, v1, v2, v3 = v0 + v[0], v1 + v[1], v2 + v[2], v3 + v[3]
        image, place = divide(quad, quads)
        lane = 4 * (divide(place // 2, pixels)[0] * LANES + place % 2 * 4)
        own, other = 16 * quad + 4 * image * y_gap, 16 * quad + 4 * image * residual_gap
        epilogue((v0, v1, v2, v3), y + own, bias + lane, slopes + lane, residual + other, args[11:])

    return sum_splits


KERNEL = KernelDef(
    name=NAME,
    buffers=("y", "partial", "bias", "slopes", "residual"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=residual_inplace,
    threads=lambda params: THREADS,
)
