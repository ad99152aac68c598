"""Tiles of Winograd's method on GPUs, ranked by the estimated time of its three launches. Pure functions of sizes.

Costs compare with those of the implicit GEMM (``conv_tiling``): the products are estimated alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.conv_tiling import TILES, GemmLayer, gemm_seconds
from cnnc.runtime.cuda.device_facts import DeviceFacts
from cnnc.runtime.cuda.register_tile import DEPTH, BlockTile
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.winograd_shape import WinogradShape, m_bytes, v_bytes

MOST_PRODUCTS = 6
"""Of a tile along an axis: the transforms of larger tiles do not fit the registers."""


@dataclass(frozen=True, slots=True)
class WinogradTiling:
    """Outputs of a tile, and the block tile of the products (``BlockTile``)."""

    out_rows: int
    out_columns: int
    rows: int
    columns: int
    row_threads: int
    column_threads: int

    @property
    def block_tile(self) -> BlockTile:
        return BlockTile(self.rows, self.columns, self.row_threads, self.column_threads)


@dataclass(frozen=True, slots=True)
class WinogradLayer:
    """Sizes that decide.

    Attributes:
        images: of the batch.
        x_depth: planes of an image of the input.
        map: depth, height and width of the result.
        window: depth, height and width; ``dilation`` in height and width.
        channels: of the input.
        y_blocks: blocks of eight channels of the result.
    """

    images: int
    x_depth: int
    map: tuple[int, int, int]
    window: tuple[int, int, int]
    dilation: tuple[int, int]
    channels: int
    y_blocks: int


def rank_winograd_tilings(
    layer: WinogradLayer, outputs: Sequence[tuple[int, int]], device: DeviceFacts, count: int
) -> list[tuple[float, WinogradTiling]]:
    """Up to ``count`` tilings for any of ``outputs``, cheapest first.

    Costs are multiply-adds of eight lanes of the whole device, launches included.
    """
    unit = device.fma_seconds(LANES)
    tilings = [
        WinogradTiling(*pair, tile.rows, tile.columns, tile.row_threads, tile.column_threads)
        for pair in outputs
        for tile in TILES
    ]
    ranked = [(_seconds(layer, tiling, device) / unit, tiling) for tiling in tilings]
    return sorted(ranked, key=lambda pair: pair[0])[:count]


def _seconds(layer: WinogradLayer, tiling: WinogradTiling, device: DeviceFacts) -> float:
    """Three launches: the transforms are as fast as memory, the products are those of a GEMM a position."""
    shape = WinogradShape(tiling.out_rows, tiling.out_columns, *layer.window[1:])
    out_d, out_h, out_w = layer.map
    plane = _known(shape.plane_columns({"OH": out_h, "OW": out_w, "DH": layer.dilation[0], "DW": layer.dilation[1]}))
    columns = layer.images * out_d * plane
    v = _known(v_bytes(shape.positions, layer.channels, layer.images * layer.x_depth, plane))
    m = _known(m_bytes(shape.positions, layer.y_blocks, columns))
    # Workspaces that the second-level cache holds do not reach the memory.
    reaches_memory = v + m > device.l2_bytes
    bandwidth = device.memory_bandwidth if reaches_memory else device.l2_bandwidth
    steps = layer.window[0] * -(-layer.channels // DEPTH)
    products = GemmLayer(
        groups=shape.positions,
        channels=layer.y_blocks * LANES,
        pixels=columns,
        steps=steps,
        activation_bytes=v + m if reaches_memory else 0,
        weight_bytes=4 * shape.positions * layer.y_blocks * LANES * steps * DEPTH,
    )
    pixels = layer.images * out_h * out_w * 4
    x, y = pixels * layer.x_depth * layer.channels, pixels * out_d * layer.y_blocks * LANES
    transforms = (x + y) / device.memory_bandwidth + (v + m) / bandwidth + 2 * device.launch_seconds
    return transforms + gemm_seconds(products, tiling.block_tile, 1, device)


def _known(size: object) -> int:
    assert isinstance(size, int)
    return size
