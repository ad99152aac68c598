"""Outputs of a thread of ``conv.f32.depthwise``, ranked by estimated time. Pure functions of sizes."""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.device_facts import ISSUES, DeviceFacts
from cnnc.runtime.cuda.target import LANES, WARP

_ROWS = (4, 2, 1, 8)
"""In order of preference where estimates are equal."""

_WARPS = 16
"""Of a multiprocessor at a time, by the registers that the tiles take."""

_LOAD, _FINISH, _START = 5, 24, 80
"""Instructions of a load with its address and condition, of an output after its sums, and of a thread before them."""


@dataclass(frozen=True, slots=True)
class DepthwiseTiling:
    """``rows``: outputs below each other that a thread computes."""

    rows: int


@dataclass(frozen=True, slots=True)
class DepthwiseLayer:
    """Sizes that decide.

    Attributes:
        planes: maps of eight channels, over images, blocks of channels and depths.
        map: height and width of the result.
        window: depth, height and width; ``stride`` from row to row.
        is_known: whether the window is known at compile time, so that outputs share inputs.
    """

    planes: int
    map: tuple[int, int]
    window: tuple[int, int, int]
    stride: int
    is_known: bool


def rank_depthwise_tilings(
    layer: DepthwiseLayer, device: DeviceFacts, count: int
) -> list[tuple[float, DepthwiseTiling]]:
    """Up to ``count`` tilings, cheapest first; costs are multiply-adds of eight lanes of the whole device."""
    unit = device.fma_seconds(LANES)
    fitting = [rows for rows in _ROWS if rows == 1 or rows < 2 * layer.map[0]]
    ranked = [(_seconds(layer, device, rows) / unit, DepthwiseTiling(rows)) for rows in fitting]
    return sorted(ranked, key=lambda pair: pair[0])[:count]


def _seconds(layer: DepthwiseLayer, device: DeviceFacts, rows: int) -> float:
    """The time that instructions take, or what is moved, or waiting: once for the loads of a column of the window."""
    depth, height, width = layer.window
    warps = -(-layer.planes * -(-layer.map[0] // rows) * layer.map[1] * 2 // WARP)
    if layer.is_known:
        columns, loads = depth * width, height + (rows - 1) * layer.stride + height
    else:
        columns, loads, height = depth * height * width, 1 + rows, 1
    instructions = _START + columns * (loads * _LOAD + rows * height * 4) + rows * _FINISH
    issued = warps * instructions / (device.multiprocessors * ISSUES * device.clock)
    waves = -(-warps // (device.multiprocessors * _WARPS))
    waited = waves * (columns + 2) * device.latency / device.clock
    pixels = layer.planes * layer.map[0] * layer.map[1]
    moved = 4 * LANES * pixels * (1 + layer.stride**2) / device.memory_bandwidth
    return max(issued, waited, moved)
