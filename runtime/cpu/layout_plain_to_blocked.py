"""``layout.plain_to_blocked``: [N, C, S] to [N, blocks, S, L]; pad lanes become 0.

Argument block, lane map and work items: ``layout_conversion``. Takes any N, C, S, and channels in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import layout_conversion
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = layout_conversion.arguments


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.lane_rows import lane_rows
    from cnnc.runtime.cpu.registers import scalar_access

    lanes, chunk, size = target.lanes, layout_conversion.POSITIONS, layout_conversion.element_size(params)
    to_block = lane_rows(target, size).to_block
    read_map = scalar_access(target, "i32")[0]
    write = scalar_access(target, "i64")[1]

    def layout_plain_to_blocked(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, lane_map = args[0], args[1], args[2]
        channels, positions, blocks, plain_batch, blocked_batch = args[4], args[5], args[6], args[7], args[8]
        chunks = (positions + chunk - 1) // chunk
        for item in range(begin, end):
            rest, first = item // chunks, item % chunks * chunk
            image, block = rest // blocks, rest % blocks
            for lane in range(lanes):
                channel = block * lanes + lane
                if lane_map != 0:
                    channel = read_map(lane_map + 4 * channel)
                elif channel >= channels:
                    channel = -1
                row = x + size * (image * plain_batch + channel * positions)
                write(scratch + 8 * lane, row if channel >= 0 else 0)
            place = y + size * (image * blocked_batch + block * positions * lanes)
            for position in range(first, min(first + chunk, positions), lanes):
                count = min(lanes, positions - position)
                to_block(place + size * lanes * position, scratch, size * position, count)

    return layout_plain_to_blocked


KERNEL = KernelDef(
    name="layout.plain_to_blocked",
    buffers=("y", "x", "map"),
    sizes=layout_conversion.SIZES,
    build=_build,
    items=layout_conversion.items,
    footprint=lambda sizes, params: layout_conversion.accesses(sizes, params, plain="x", blocked="y", written="y"),
    scratch_bytes=lambda sizes, params: 8 * int(params["lanes"]),
)
