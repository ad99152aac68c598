"""Tiles of products on tensor cores, ranked by estimated time. Pure functions of sizes."""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.conv_tiling import LEAST_STEPS, SPLITS
from cnnc.runtime.cuda.device_facts import ISSUES, SHARED_BYTES, DeviceFacts
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.tensor_precision import TENSOR_PRECISIONS
from cnnc.runtime.cuda.warp_tile import CHUNK_BYTES, WarpTile

_SHAPES = (
    *((64, 64, 2, 2, 4), (64, 64, 2, 2, 2), (64, 32, 2, 2, 4), (64, 32, 2, 2, 2)),
    *((32, 32, 2, 2, 4), (32, 32, 2, 2, 2), (32, 16, 2, 2, 4)),
)
"""Pixels and channels of a warp, warps of a block along both, blocks of input channels in a step; in order of
preference where estimates are equal. Each is free of spills where its panels fit (``tests/cuda/variants.py``)."""

MAX_SHARED = 48 << 10
"""Bytes of static shared memory of a block."""


_BOOKKEEPING, _PER_LOAD = 60, 8
"""Instructions of a warp in a step beside products, fragments and copies; and of a quad that it copies and rounds."""

_REGISTERS = 60
"""Of a thread, beside results, fragments and pixels on their way."""

_BARRIER = 60
"""Cycles of a step in which a block's warps wait for each other."""

_BLOCK_CYCLES = 2500
"""Beginning and end of a block of threads, as of the float32 products: places, first panels, epilogue."""


@dataclass(frozen=True, slots=True)
class TensorTiling:
    """The fields of ``WarpTile``, and how many blocks of threads share the steps of a tile."""

    pixels: int
    channels: int
    pixel_warps: int
    channel_warps: int
    blocks: int
    splits: int

    def tile(self, precision: str) -> WarpTile:
        """The tile of factors of this type."""
        return WarpTile(self.pixels, self.channels, self.pixel_warps, self.channel_warps, self.blocks, precision)


@dataclass(frozen=True, slots=True)
class TensorProduct:
    """The sizes of a product.

    Attributes:
        groups: products of the same sizes.
        pixels: rows, over all images.
        channels: columns of a group.
        blocks: blocks of 8 input channels of a group, for each of ``taps``.
        input_bytes: of what is multiplied by the weights, which are read once from memory.
    """

    groups: int
    pixels: int
    channels: int
    blocks: int
    taps: int
    input_bytes: int


def rank_tensor_tilings(
    product: TensorProduct, precision: str, device: DeviceFacts, count: int
) -> list[tuple[float, TensorTiling]]:
    """Up to ``count`` tilings, cheapest first; costs are multiply-adds of eight lanes of the whole device.

    Of tilings that wait for memory as long, the one that computes less is first.
    """
    unit, found = device.fma_seconds(LANES), []
    for shape in _SHAPES:
        if (shape[4] * LANES * TENSOR_PRECISIONS[precision].bytes) % (2 * CHUNK_BYTES):
            continue
        tile = WarpTile(*shape, precision)
        if 2 * tile.stage_bytes > MAX_SHARED:
            continue
        for splits in _splits(product, tile, device):
            computing = _computing_seconds(product, tile, splits, device)
            seconds = max(computing, _moving_seconds(product, tile, splits, device))
            seconds += _launch_seconds(product, splits, device)
            found.append((seconds / unit, computing, TensorTiling(*shape, splits)))
    ranked = sorted(found, key=lambda item: item[:2])
    return [(cost, tiling) for cost, _, tiling in ranked[:count]]


def _steps(product: TensorProduct, tile: WarpTile) -> int:
    return product.taps * -(-product.blocks // tile.blocks)


def registers(tile: WarpTile) -> int:
    """About how many a thread takes."""
    fragments = 4 * (tile.pixels + tile.channels) // 16
    return tile.words + fragments + 4 * tile.blocks * tile.pixel_loads + _REGISTERS


def _tiles(product: TensorProduct, tile: WarpTile) -> int:
    return product.groups * -(-product.channels // tile.block_channels) * -(-product.pixels // tile.block_pixels)


def _resident(tile: WarpTile, device: DeviceFacts) -> int:
    return max(1, device.resident_blocks(tile.threads, registers(tile), 2 * tile.stage_bytes))


def _splits(product: TensorProduct, tile: WarpTile, device: DeviceFacts) -> list[int]:
    """Ways to share steps: while multiprocessors would have nothing to do, and steps are left."""
    tiles, room = _tiles(product, tile), device.multiprocessors * _resident(tile, device)
    most = min(_steps(product, tile) // LEAST_STEPS, room // tiles)
    return [splits for splits in SPLITS if splits == 1 or splits <= most]


def _computing_seconds(product: TensorProduct, tile: WarpTile, splits: int, device: DeviceFacts) -> float:
    """Of the multiprocessor with most blocks, if nothing waits for the device's memory."""
    blocks, steps = _tiles(product, tile) * splits, -(-_steps(product, tile) // splits)
    resident = _resident(tile, device)
    rounds, rest = divmod(-(-blocks // device.multiprocessors), resident)
    cycles = rounds * (steps * _step_cycles(tile, resident, device) + _BLOCK_CYCLES)
    if rest:
        cycles += steps * _step_cycles(tile, rest, device) + _BLOCK_CYCLES
    return cycles / device.clock


def _moving_seconds(product: TensorProduct, tile: WarpTile, splits: int, device: DeviceFacts) -> float:
    """Of panels from the second-level cache, or operands and results in memory."""
    steps = splits * -(-_steps(product, tile) // splits)
    panels = _tiles(product, tile) * steps * (4 * tile.block_pixels * tile.depth + tile.weight_bytes)
    weights = product.groups * product.channels * product.blocks * product.taps * LANES * tile.factors.bytes
    operands = product.input_bytes + weights + _result_bytes(product)
    return max(panels / device.l2_bandwidth, operands / device.memory_bandwidth)


def _launch_seconds(product: TensorProduct, splits: int, device: DeviceFacts) -> float:
    """Of the launch, and of the one that adds up the sums of several blocks."""
    if splits == 1:
        return device.launch_seconds
    return 2 * device.launch_seconds + (2 * splits + 1) * _result_bytes(product) / device.l2_bandwidth


def _result_bytes(product: TensorProduct) -> int:
    return 4 * product.groups * product.pixels * product.channels


def _step_cycles(tile: WarpTile, resident: int, device: DeviceFacts) -> float:
    """Cycles in which a multiprocessor that holds so many blocks of threads does a step of each.

    A block alone waits for its loads; several fill the time of each other.
    """
    flops = device.half_flops if tile.factors.bytes == 2 else device.tf32_flops
    products = tile.block_pixels * tile.block_channels * tile.depth
    warps = tile.pixel_warps * tile.channel_warps
    fragments = tile.steps * (tile.pixels + tile.channels) // 16
    copied = 2 * tile.block_pixels * tile.blocks
    stored = copied * 4 * tile.factors.bytes + tile.weight_bytes
    issued = tile.steps * (tile.pixels // 16) * (tile.channels // 8) + fragments + _BOOKKEEPING
    issued += _PER_LOAD * copied // tile.threads
    busy = max(
        2 * products * device.multiprocessors * device.clock / flops,
        warps * fragments * 4 + stored / SHARED_BYTES,
        warps * issued / ISSUES,
    )
    return max(resident * busy, busy + _BARRIER, device.latency + _BARRIER)
