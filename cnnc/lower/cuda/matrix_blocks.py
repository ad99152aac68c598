"""Matrix products with constant weights as 1x1 convolutions on GPUs.

Where K and N are multiples of 8, a matrix of M rows is a blocked tensor of M images of one pixel, and the product is
``conv.f32.implicit_gemm``, with its tiles and its ways to share products.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cuda.alignment import in_quads
from cnnc.lower.cuda.conv import NAME, product_calls
from cnnc.lower.matrix_operands import (
    constant_bias,
    constant_refusal,
    constant_weights,
    describe,
    rows_of,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cpu.prologue import PROLOGUE_BUFFERS
from cnnc.runtime.cuda.conv_implicit_gemm import SIZES
from cnnc.runtime.cuda.conv_packing import InputBlocks, pack_weights
from cnnc.runtime.cuda.conv_tiling import GemmLayer, GemmTiling, rank_gemm_tilings
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.register_tile import tile_params
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call


def blocks_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    """Why a product is no convolution of whole blocks."""
    reason = constant_refusal(node, builder)
    if reason is not None:
        return reason
    depth, columns = constant_weights(node).shape
    if depth % LANES or columns % LANES:
        return f"its inner size {depth} or its columns {columns} are no multiple of {LANES}"
    if describe(node).a.column != 1:
        return "its first operand is transposed"
    aligned = in_quads(builder.argument(node.input(0)))
    return None if aligned else "its first operand does not lie at a multiple of 16 bytes"


def rank_blocks(node: Node, builder: ProgramBuilder, rows: int, count: int) -> Sequence[tuple[float, GemmTiling]]:
    """Tilings for a product of so many rows, with their costs."""
    depth, columns = constant_weights(node).shape
    layer = GemmLayer(1, columns, rows, depth // LANES, 4 * rows * (depth + columns), 4 * depth * columns)
    return rank_gemm_tilings(layer, facts_of(builder.target), count)


def blocks_calls(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> list[Call]:
    """The calls with a tiling."""
    described, weights = describe(node), constant_weights(node)
    depth, columns = weights.shape
    source = InputBlocks(tuple(range(depth)), 1)
    scaled = np.multiply(weights.T, np.float32(described.scale), dtype=np.float32)
    packed = pack_weights(scaled, source, tiling.tile.channels)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0)),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        "bias": BufferArg(builder.constant(constant_bias(node), f"{node.name}.bias")),
        **dict.fromkeys(("phases", "slopes", "residual", *PROLOGUE_BUFFERS), 0),
    }
    buffers["y"] = builder.result(node.output)
    pixels = dict.fromkeys((prefix + axis for prefix in ("", "O", "K", "S", "D") for axis in "DHW"), 1)
    sizes: dict[str, Dim] = {**dict.fromkeys(SIZES, 0), **pixels, "groups": 1, "phase_count": 1}
    sizes |= {"N": rows_of(node), "XB": depth // LANES, "YB": columns // LANES, "weight_floats": packed.size}
    sizes |= activation_bits(described.activation)
    options: dict[str, int | str] = {"axes": 0, "phased": 0, "residual": 0, "activation": described.activation.kind}
    variant = Variant.of(NAME, **tile_params(tiling.tile), **options)
    return product_calls(node, builder, variant, tiling.splits, source, buffers, sizes)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    return rank_blocks(node, builder, typical(rows_of(node), 1), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    builder.kernel_step(node, blocks_calls(node, builder, tiling))


BLOCKS_RULE = TiledRule(NAME, GemmTiling, blocks_refusal, _tilings, _emit, reads_weights=True)
