"""``layout.blocked_lanes``: lanes of one blocked tensor gathered into another: concat at unaligned offsets, shuffles.

x is [N, x_blocks, S, L], y is [N, y_blocks, S, L], both float32, L the target's lanes and the parameter ``lanes``. The
buffer ``map`` holds an int32 for each lane of y: the lane of x it is copied from, -1 for a pad lane (becomes 0), or -2
for a lane that stays as it is (another piece of the concat writes it).
x and y must not overlap.

Work item: 64 positions of one block of y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_POSITIONS = 64


def arguments(batch: Dim, x_blocks: Dim, y_blocks: Dim, positions: Dim) -> dict[str, Dim]:
    """Size slots: N, blocks of either tensor, S."""
    return {"batch": batch, "x_blocks": x_blocks, "y_blocks": y_blocks, "positions": positions}


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["batch"] * sizes["y_blocks"] * ceil_div(sizes["positions"], _POSITIONS)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    plane = 4 * lanes * sizes["batch"] * sizes["positions"]
    return (
        Access("y", 0, plane * sizes["y_blocks"], True),
        Access("x", 0, plane * sizes["x_blocks"], False),
        Access("map", 0, 4 * lanes * sizes["y_blocks"], False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.registers import scalar_access

    lanes = target.lanes
    read_map, _ = scalar_access(target, "i32")
    read, write = scalar_access(target, "f32")

    def layout_blocked_lanes(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, lane_map = args[0], args[1], args[2]
        x_blocks, y_blocks, positions = args[4], args[5], args[6]
        chunks = (positions + _POSITIONS - 1) // _POSITIONS
        for item in range(begin, end):
            rest, first = item // chunks, item % chunks * _POSITIONS
            image, block = rest // y_blocks, rest % y_blocks
            count = min(_POSITIONS, positions - first)
            for lane in range(lanes):
                wanted = read_map(lane_map + 4 * (block * lanes + lane))
                target_at = y + 4 * (((image * y_blocks + block) * positions + first) * lanes + lane)
                if wanted == -1:
                    for position in range(count):
                        write(target_at + 4 * lanes * position, 0.0)
                elif wanted >= 0:
                    plane = (image * x_blocks + wanted // lanes) * positions + first
                    source = x + 4 * (plane * lanes + wanted % lanes)
                    for position in range(count):
                        write(target_at + 4 * lanes * position, read(source + 4 * lanes * position))

    return layout_blocked_lanes


KERNEL = KernelDef(
    name="layout.blocked_lanes",
    buffers=("y", "x", "map"),
    sizes=("batch", "x_blocks", "y_blocks", "positions"),
    build=_build,
    items=_items,
    footprint=_footprint,
)
