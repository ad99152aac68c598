"""Tiles of products of bytes, ranked by an estimate of their time.

A step of a block costs the most of what its warps issue, of the products of its tensor cores or ``dp4a`` units, and of
what shared memory moves; blocks that a multiprocessor holds at a time share it, and hide each other's latency. Nothing
is faster than the second-level cache delivers the panels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.byte_tile import CHUNK, ByteTile
from cnnc.runtime.cuda.device_facts import ISSUES, SHARED_BYTES, DeviceFacts
from cnnc.runtime.cuda.target import LANES, WARP

_DOTS = 64
"""``dp4a`` of a multiprocessor in a cycle (CUDA C++ Programming Guide, arithmetic instructions)."""

_STEP_ISSUES = 20
"""Instructions of a warp in a step beside products, loads and stores: addresses, and the loop."""

_REGISTERS = 64
"""Of a thread, beside its sums; 104 of tiles of ``dp4a``, which read a step's words ahead."""

_MOST_SHARED = 48 << 10


@dataclass(frozen=True, slots=True)
class ByteProduct:
    """A convolution as sums of products.

    Attributes:
        groups, channels: groups, and output channels of each.
        pixels: output pixels of all images.
        taps, blocks: of the window, and of 8 input channels of a group.
    """

    groups: int
    channels: int
    pixels: int
    taps: int
    blocks: int


def taps_of_step(x_blocks: int, blocks: int) -> int:
    """Taps of a step of ``blocks`` blocks, a power of 2, of a group with so many input blocks."""
    taps = 1
    while 2 * taps * x_blocks <= blocks:
        taps *= 2
    return taps


@functools.cache
def byte_tiles() -> tuple[ByteTile, ...]:
    """All tiles that are considered."""
    tensor = [
        ByteTile(1, rows, columns, 8 * row_warps, 4 * column_warps, blocks)
        for rows in (8, 4)
        for columns in (8, 4)
        for row_warps in (1, 2)
        for column_warps in (1, 2, 4)
        for blocks in (8, 4)
    ]
    dots = [ByteTile(0, *shape) for shape in ((8, 8, 16, 8), (8, 8, 8, 8), (4, 8, 8, 8), (4, 4, 8, 8))]
    return tuple(tile for tile in (*tensor, *dots) if _is_possible(tile))


def _is_possible(tile: ByteTile) -> bool:
    shares = tile.threads % tile.pixels == 0 and tile.blocks * tile.pixels % tile.threads == 0
    return shares and 64 <= tile.threads <= 256 and 2 * tile.stage_bytes <= _MOST_SHARED


def rank_byte_tiles(product: ByteProduct, device: DeviceFacts, count: int) -> Sequence[tuple[float, ByteTile]]:
    """The ``count`` best tiles with their costs, in multiply-adds of 8 lanes."""
    unit = device.fma_seconds(LANES)
    ranked = [(_seconds(product, tile, device) / unit, tile) for tile in byte_tiles()]
    return sorted(ranked, key=lambda pair: pair[0])[:count]


def _seconds(product: ByteProduct, tile: ByteTile, device: DeviceFacts) -> float:
    taps = taps_of_step(product.blocks, tile.blocks)
    steps = -(-product.taps // taps) * -(-product.blocks // (tile.blocks // taps))
    blocks = product.groups * -(-product.channels // tile.channels) * -(-product.pixels // tile.pixels)
    registers = (_REGISTERS if tile.tensor else _REGISTERS + 40) + tile.rows * tile.columns
    held = max(device.resident_blocks(tile.threads, registers, 2 * tile.stage_bytes), 1)
    of_each = -(-blocks // device.multiprocessors)
    busy = _step_cycles(tile, device)
    throughput = of_each * steps * busy
    waiting = -(-of_each // held) * steps * (device.latency + busy)
    panels = blocks * steps * (tile.weight_bytes + tile.blocks * LANES * tile.pixels)
    return max(max(throughput, waiting) / device.clock, panels / device.l2_bandwidth)


def _step_cycles(tile: ByteTile, device: DeviceFacts) -> float:
    """Of a multiprocessor for a step of a block."""
    warps, chunks = tile.threads // WARP, tile.blocks // CHUNK
    if tile.tensor:
        reads = chunks * (tile.rows // 2 + tile.columns // 4)
        products = chunks * tile.rows // 2 * tile.columns // 2 * (1 if device.architecture >= (8, 0) else 4)
        macs = tile.channels * tile.pixels * tile.blocks * LANES
        multiplying = macs / (device.byte_ops / (2 * device.multiprocessors * device.clock))
    else:
        reads = tile.blocks * (tile.rows + tile.columns) // 2
        products = tile.blocks * 2 * tile.rows * tile.columns
        multiplying = products * tile.threads / _DOTS
    copies = 4 * tile.copied_blocks + 2 * max(tile.weight_quads // tile.threads, 1)
    issuing = warps * (products + reads + copies + _STEP_ISSUES) / ISSUES
    moving = warps * reads * WARP * 16 / SHARED_BYTES + tile.stage_bytes / SHARED_BYTES
    return max(issuing, multiplying, moving)
