"""Outputs of a thread of kernels that compute pixels below each other, ranked by estimated time.

Of ``conv.f32.depthwise`` and ``conv.f32.grouped``: half a block of channels of ``rows`` pixels. Pure functions of
sizes.
"""

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
class RowTiling:
    """``rows``: outputs below each other that a thread computes."""

    rows: int


@dataclass(frozen=True, slots=True)
class RowLayer:
    """What decides.

    Attributes:
        planes: maps of eight channels of the result, over images, blocks of channels and depths.
        map: height and width of the result.
        steps: times that a thread waits for loads: taps, or columns of a window.
        fixed_loads, row_loads: of a step, and of a step for each of its rows.
        row_products: multiply-adds of a step for each of its rows.
        moved_bytes: of input and result.
    """

    planes: int
    map: tuple[int, int]
    steps: int
    fixed_loads: int
    row_loads: int
    row_products: int
    moved_bytes: int


def rank_row_tilings(layer: RowLayer, device: DeviceFacts, count: int) -> list[tuple[float, RowTiling]]:
    """Up to ``count`` tilings, cheapest first; costs are multiply-adds of eight lanes of the whole device."""
    unit = device.fma_seconds(LANES)
    fitting = [rows for rows in _ROWS if rows == 1 or rows < 2 * layer.map[0]]
    ranked = [(_seconds(layer, device, rows) / unit, RowTiling(rows)) for rows in fitting]
    return sorted(ranked, key=lambda pair: pair[0])[:count]


def _seconds(layer: RowLayer, device: DeviceFacts, rows: int) -> float:
    """The time that all instructions take, or moving what memory gives and takes, or those of a thread that waits."""
    warps = -(-layer.planes * -(-layer.map[0] // rows) * layer.map[1] * 2 // WARP)
    loads = layer.fixed_loads + rows * layer.row_loads
    instructions = _START + layer.steps * (loads * _LOAD + rows * layer.row_products) + rows * _FINISH
    issued = warps * instructions / (device.multiprocessors * ISSUES * device.clock)
    waves = -(-warps // (device.multiprocessors * _WARPS))
    waited = waves * ((layer.steps + 2) * device.latency + instructions) / device.clock
    return max(issued, waited, layer.moved_bytes / device.memory_bandwidth) + device.launch_seconds
