"""``layout.blocked_lanes``: lanes of one blocked tensor gathered into another: concat at unaligned offsets, shuffles.

Contract: ``cnnc.runtime.cpu.layout_blocked_lanes``. Two threads share a position of y, each with four lanes: stores are
consecutive, and the lanes of a position that come from one sector of x find it in the first-level cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import layout_blocked_lanes as cpu
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target

_SHARES = 2
_KEEP = cpu.KEEP


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for(sizes["batch"] * sizes["y_blocks"] * sizes["positions"] * _SHARES)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined
    from cnnc.runtime.cuda.memory_access import load_i32, load_if, store, store_quad

    def lane_of(image: int, lane: int, positions: int) -> Any:
        """A lane of x; padding is 0."""
        block, place = (lane if lane > 0 else 0) // LANES, lane % LANES
        return load_if(image + 4 * (block * positions * LANES + place), lane >= 0)

    load_lane = inlined(FLOAT, [INT] * 3, lane_of)

    def layout_blocked_lanes(args: Any) -> None:
        y, x, lane_map, batch, x_blocks, y_blocks, positions, x_gap, y_gap = args
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        pixel, share = number // _SHARES, number % _SHARES
        if pixel >= batch * y_blocks * positions:
            return
        rest, position = divide(pixel, positions)
        image, block = divide(rest, y_blocks)
        source = x + 4 * (image * (x_blocks * positions * LANES + x_gap) + position * LANES)
        row = lane_map + 4 * (block * LANES + 4 * share)
        m0, m1, m2, m3 = load_i32(row), load_i32(row + 4), load_i32(row + 8), load_i32(row + 12)
        v0, v1 = load_lane(source, m0, positions), load_lane(source, m1, positions)
        v2, v3 = load_lane(source, m2, positions), load_lane(source, m3, positions)
        place = y + 4 * (pixel * LANES + image * y_gap) + 16 * share
        if min(min(m0, m1), min(m2, m3)) > _KEEP:
            store_quad(place, (v0, v1, v2, v3))
            return
        if m0 != _KEEP:
            store(place, v0)
        if m1 != _KEEP:
            store(place + 4, v1)
        if m2 != _KEEP:
            store(place + 8, v2)
        if m3 != _KEEP:
            store(place + 12, v3)

    return layout_blocked_lanes


KERNEL = KernelDef(
    name="layout.blocked_lanes",
    buffers=cpu.KERNEL.buffers,
    sizes=cpu.KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
