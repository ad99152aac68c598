"""``layout.blocked_to_plain``: [N, blocks, S, 8] to [N, C, S]; pad lanes are dropped.

Contract: ``cnnc.runtime.cpu.layout_conversion``. Threads follow the elements of x, as those of
``layout.plain_to_blocked`` those of y: loads are whole and consecutive, a store of a warp gives 16 or 32 neighbouring
positions to a channel.
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
    from cnnc.runtime.cuda.memory_access import load_quad, store_if

    size = layout_conversion.element_size(params)
    shares = layout_lanes.threads_of_position(params)
    channel_of = layout_lanes.channel_function()
    load_word, store_byte = element_access(8).load, element_access(1).store_if

    def layout_blocked_to_plain(args: Any) -> None:
        y, x, lane_map, batch, channels, positions, blocks, plain_batch, blocked_batch = args[:9]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        pixel, share = number // shares, number % shares
        if pixel >= batch * blocks * positions:
            return
        rest, position = divide(pixel, positions)
        image, block = divide(rest, blocks)
        row = y + size * (image * plain_batch + position)
        place = x + size * (image * blocked_batch + (block * positions + position) * LANES)
        step = size * positions
        first = block * LANES + share * 4
        c0, c1 = channel_of(lane_map, first, channels), channel_of(lane_map, first + 1, channels)
        c2, c3 = channel_of(lane_map, first + 2, channels), channel_of(lane_map, first + 3, channels)
        if size == 4:
            quad = load_quad(place + 16 * share)
            store_if(row + c0 * step, quad[0], c0 >= 0)
            store_if(row + c1 * step, quad[1], c1 >= 0)
            store_if(row + c2 * step, quad[2], c2 >= 0)
            store_if(row + c3 * step, quad[3], c3 >= 0)
        else:
            c4, c5 = channel_of(lane_map, first + 4, channels), channel_of(lane_map, first + 5, channels)
            c6, c7 = channel_of(lane_map, first + 6, channels), channel_of(lane_map, first + 7, channels)
            word = load_word(place)
            store_byte(row + c0 * step, word, c0 >= 0)
            store_byte(row + c1 * step, word >> 8, c1 >= 0)
            store_byte(row + c2 * step, word >> 16, c2 >= 0)
            store_byte(row + c3 * step, word >> 24, c3 >= 0)
            store_byte(row + c4 * step, word >> 32, c4 >= 0)
            store_byte(row + c5 * step, word >> 40, c5 >= 0)
            store_byte(row + c6 * step, word >> 48, c6 >= 0)
            store_byte(row + c7 * step, word >> 56, c7 >= 0)

    return layout_blocked_to_plain


KERNEL = KernelDef(
    name="layout.blocked_to_plain",
    buffers=("y", "x", "map"),
    sizes=layout_conversion.SIZES,
    build=_build,
    items=layout_lanes.items,
    footprint=lambda sizes, params: layout_conversion.accesses(sizes, params, plain="y", blocked="x", written="y"),
    threads=lambda params: THREADS,
)
