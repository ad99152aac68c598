"""``layout.blocked_lanes``: lanes of one blocked tensor gathered into another: concat at unaligned offsets, shuffles.

x is [N, x_blocks, S, L], y is [N, y_blocks, S, L], both float32, L the target's lanes and the parameter ``lanes``. The
buffer ``map`` holds an int32 for each lane of y: the lane of x it is copied from, -1 for a pad lane (becomes 0), or -2
for a lane that stays as it is (another piece of the concat writes it).
x and y must not overlap. ``x_gap`` and ``y_gap`` are the elements between two images, for ranges of channels of larger
tensors.

Work item: 256 positions of one block of y; the lanes that come from one block of x are moved together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_POSITIONS = 256
KEEP = -2
"""In a map: the lane stays as it is."""


def arguments(batch: Dim, x_blocks: Dim, y_blocks: Dim, positions: Dim) -> dict[str, Dim]:
    """Size slots: N, blocks of either tensor, S; no gaps."""
    sizes = {"batch": batch, "x_blocks": x_blocks, "y_blocks": y_blocks, "positions": positions}
    return {**sizes, "x_gap": 0, "y_gap": 0}


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["batch"] * sizes["y_blocks"] * ceil_div(sizes["positions"], _POSITIONS)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    batch, plane = sizes["batch"], lanes * sizes["positions"]
    stops = {
        name: 4 * (batch * sizes[f"{name}_blocks"] * plane + (batch - 1) * sizes[f"{name}_gap"]) if batch else 0
        for name in ("y", "x")
    }
    return (
        Access("y", 0, stops["y"], True),
        Access("x", 0, stops["x"], False),
        Access("map", 0, 4 * lanes * sizes["y_blocks"], False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.lane_permute import lane_merges
    from cnnc.runtime.cpu.registers import scalar_access

    lanes, pixel = target.lanes, target.vector_bytes
    read, write = scalar_access(target, "i32")
    merges = lane_merges(target)
    merge, clear = merges.merge, merges.clear

    def layout_blocked_lanes(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, lane_map = args[0], args[1], args[2]
        x_blocks, y_blocks, positions, x_gap, y_gap = args[4], args[5], args[6], args[7] * 4, args[8] * 4
        chunks = (positions + _POSITIONS - 1) // _POSITIONS
        indices, mask, owners = scratch, scratch + 4 * lanes, scratch + 8 * lanes
        for item in range(begin, end):
            rest, first = item // chunks, item % chunks * _POSITIONS
            image, block = rest // y_blocks, rest % y_blocks
            count = min(_POSITIONS, positions - first)
            result = y + ((image * y_blocks + block) * positions + first) * pixel + image * y_gap
            source = x + (image * x_blocks * positions + first) * pixel + image * x_gap
            row = lane_map + 4 * block * lanes
            for lane in range(lanes):
                wanted = read(row + 4 * lane)
                write(owners + 4 * lane, np.int32(wanted // lanes if wanted >= 0 else wanted))
            for lane in range(lanes):
                owner = read(owners + 4 * lane)
                fresh = owner != KEEP
                for earlier in range(lane):
                    fresh = fresh and read(owners + 4 * earlier) != owner
                if not fresh:
                    continue
                for other in range(lanes):
                    same = read(owners + 4 * other) == owner
                    write(mask + 4 * other, np.int32(same))
                    write(indices + 4 * other, np.int32(read(row + 4 * other) % lanes))
                if owner < 0:
                    clear(result, mask, count)
                else:
                    merge(result, source + owner * positions * pixel, indices, mask, count)

    return layout_blocked_lanes


KERNEL = KernelDef(
    name="layout.blocked_lanes",
    buffers=("y", "x", "map"),
    sizes=("batch", "x_blocks", "y_blocks", "positions", "x_gap", "y_gap"),
    build=_build,
    items=_items,
    footprint=_footprint,
    scratch_bytes=lambda sizes, params: 12 * int(params["lanes"]),
)
