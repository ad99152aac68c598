"""``layout.byte_lanes``: lanes of blocked bytes gathered into another tensor: shuffles, splits, slices of channels.

x is [N, x_blocks, S, L], y is [N, y_blocks, S, L], L the target's lanes and the parameter ``lanes``; ``x_gap`` and
``y_gap`` are the bytes between two images, for ranges of channels of larger tensors. A block of y is the sum of
*terms*, each of which takes lanes from one block of x. ``starts``, int32 [y_blocks + 1], says which terms a block of y
has, ``sources``, int32, names the block of x of each, and ``indices``, [terms, 16], the bytes that it picks of every 16
bytes there; 128 where another term does, or none (a pad lane, which becomes 0). x and y must not overlap.

Work item: 1024 positions of one block of y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_POSITIONS = 1024
_ROW = 16
_NONE = 128


@dataclass(frozen=True, slots=True)
class LaneTerms:
    """The buffers ``starts``, ``sources`` and ``indices``."""

    starts: NDArray[np.int32]
    sources: NDArray[np.int32]
    indices: NDArray[np.uint8]


def lane_terms(wanted: Sequence[int], lanes: int) -> LaneTerms:
    """The terms of a tensor whose lane l is lane ``wanted[l]`` of another one, or padding where that is -1."""
    starts, sources, indices = [0], [], []
    for first in range(0, len(wanted), lanes):
        block = np.asarray(wanted[first : first + lanes])
        for source in np.unique(block[block >= 0] // lanes):
            is_own = (block >= 0) & (block // lanes == source)
            pixels = np.arange(_ROW // lanes)[:, None] * lanes
            sources.append(source)
            indices.append(np.where(is_own, pixels + block % lanes, _NONE).reshape(-1))
        starts.append(len(sources))
    picked = np.array(indices, np.uint8).reshape(-1, _ROW)
    return LaneTerms(np.array(starts, np.int32), np.array(sources, np.int32), picked)


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["batch"] * sizes["y_blocks"] * ceil_div(sizes["positions"], _POSITIONS)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    plane = int(params["lanes"]) * sizes["positions"]
    stops = {
        name: sizes["batch"] * sizes[f"{name}_blocks"] * plane + (sizes["batch"] - 1) * sizes[f"{name}_gap"]
        if sizes["batch"] and plane
        else 0
        for name in ("y", "x")
    }
    return (
        Access("y", 0, stops["y"], True),
        Access("x", 0, stops["x"], False),
        Access("starts", 0, 4 * (sizes["y_blocks"] + 1), False),
        Access("sources", 0, 4 * sizes["terms"], False),
        Access("indices", 0, _ROW * sizes["terms"], False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.byte_merge import merge_lanes
    from cnnc.runtime.cpu.registers import scalar_access
    from cnnc.runtime.cpu.vector import intrinsic

    read, _ = scalar_access(target, "i32")
    merge = intrinsic(target, merge_lanes, 7)
    lanes = target.lanes

    def layout_byte_lanes(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, starts, sources, indices = args[0], args[1], args[2], args[3], args[4]
        x_blocks, y_blocks, positions, x_gap, y_gap = args[6], args[7], args[8], args[9], args[10]
        chunks = (positions + _POSITIONS - 1) // _POSITIONS
        plane = positions * lanes
        for item in range(begin, end):
            rest, first = item // chunks, item % chunks * _POSITIONS
            image, block = rest // y_blocks, rest % y_blocks
            term = read(starts + 4 * block)
            merge(
                y + rest * plane + image * y_gap + first * lanes,
                x + image * (x_blocks * plane + x_gap) + first * lanes,
                plane,
                min(_POSITIONS, positions - first) * lanes,
                sources + 4 * term,
                indices + _ROW * term,
                read(starts + 4 * block + 4) - term,
            )

    return layout_byte_lanes


KERNEL = KernelDef(
    name="layout.byte_lanes",
    buffers=("y", "x", "starts", "sources", "indices"),
    sizes=("batch", "x_blocks", "y_blocks", "positions", "x_gap", "y_gap", "terms"),
    build=_build,
    items=_items,
    footprint=_footprint,
)
