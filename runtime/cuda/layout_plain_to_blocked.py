"""``layout.plain_to_blocked``: [N, C, S] to [N, blocks, S, 8]; pad lanes become 0.

Contract: ``cnnc.runtime.cpu.layout_conversion``. Threads follow the elements of y, so that stores are whole and
consecutive: of float32, two threads share a position, each with four lanes; of bytes, a thread has a position. A load
of a warp takes 16 or 32 neighbouring positions of a channel: where rows begin on sectors, whole sectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import layout_conversion
from cnnc.runtime.cuda import layout_lanes
from cnnc.runtime.cuda.flat_grid import THREADS
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.element_access import element_access
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load_if, store_quad

    size = layout_conversion.element_size(params)
    shares = layout_lanes.threads_of_position(params)
    channel_of = layout_lanes.channel_function()
    load_byte = element_access(1).load_if
    store_word = element_access(8).store

    def layout_plain_to_blocked(args: Any) -> None:
        y, x, lane_map, batch, channels, positions, blocks, plain_batch, blocked_batch = args[:9]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        pixel, share = number // shares, number % shares
        if pixel >= batch * blocks * positions:
            return
        rest, position = divide(pixel, positions)
        image, block = divide(rest, blocks)
        row = x + size * (image * plain_batch + position)
        place = y + size * (image * blocked_batch + (block * positions + position) * LANES)
        step = size * positions
        first = block * LANES + share * 4
        c0, c1 = channel_of(lane_map, first, channels), channel_of(lane_map, first + 1, channels)
        c2, c3 = channel_of(lane_map, first + 2, channels), channel_of(lane_map, first + 3, channels)
        if size == 4:
            v0, v1 = load_if(row + c0 * step, c0 >= 0), load_if(row + c1 * step, c1 >= 0)
            v2, v3 = load_if(row + c2 * step, c2 >= 0), load_if(row + c3 * step, c3 >= 0)
            store_quad(place + 16 * share, (v0, v1, v2, v3))
        else:
            c4, c5 = channel_of(lane_map, first + 4, channels), channel_of(lane_map, first + 5, channels)
            c6, c7 = channel_of(lane_map, first + 6, channels), channel_of(lane_map, first + 7, channels)
            word = load_byte(row + c0 * step, c0 >= 0) | load_byte(row + c1 * step, c1 >= 0) << 8
            word |= load_byte(row + c2 * step, c2 >= 0) << 16 | load_byte(row + c3 * step, c3 >= 0) << 24
            word |= load_byte(row + c4 * step, c4 >= 0) << 32 | load_byte(row + c5 * step, c5 >= 0) << 40
            word |= load_byte(row + c6 * step, c6 >= 0) << 48 | load_byte(row + c7 * step, c7 >= 0) << 56
            store_word(place, word)

    return layout_plain_to_blocked


KERNEL = KernelDef(
    name="layout.plain_to_blocked",
    buffers=("y", "x", "map"),
    sizes=layout_conversion.SIZES,
    build=_build,
    items=layout_lanes.items,
    footprint=lambda sizes, params: layout_conversion.accesses(sizes, params, plain="x", blocked="y", written="y"),
    threads=lambda params: THREADS,
)
