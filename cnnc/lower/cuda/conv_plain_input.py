"""Convolutions of plain images on GPUs, which are a model's first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnc.dims import product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    constant_array,
    conv_attrs,
    conv_shapes,
    dense_refusal,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    window_sizes,
)
from cnnc.lower.cuda.conv import Buffers, Sizes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cuda.conv_plain_input import NAME, SIZES, pack_plain_input
from cnnc.runtime.cuda.conv_tiling import GemmLayer, GemmTiling, rank_gemm_tilings
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.register_tile import DEPTH, tile_params
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = dense_refusal(node)
    if reason is not None:
        return reason
    if node.input(0).type.layout.is_blocked:
        return "its input is in blocked layout"
    return "it has several groups" if conv_attrs(node).group != 1 else None


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    shapes, weights = conv_shapes(node), constant_array(node, 1)
    assert weights is not None
    images = typical(node.output.type.shape[0], 1)
    pixels = images * typical(product(shapes.result))
    read, written = images * typical(product(shapes.source)) * shapes.blocks_in, pixels * shapes.blocks_out * LANES
    steps = -(-shapes.blocks_in * math.prod(shapes.kernel) // DEPTH)
    layer = GemmLayer(1, shapes.blocks_out * LANES, pixels, steps, 4 * (read + written), weights.nbytes)
    return rank_gemm_tilings(layer, facts_of(builder.target), count, most_splits=1)


def _emit(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    shapes, weights = conv_shapes(node), constant_array(node, 1)
    assert weights is not None
    packed = pack_plain_input(
        weights.reshape(*weights.shape[:2], *shapes.kernel), tiling.tile.channels, shapes.dilations
    )
    buffers: Buffers = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "taps": BufferArg(builder.constant(packed.taps, f"{node.name}.taps")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: Sizes = {"N": node.output.type.shape[0], "C": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= {"steps": len(packed.taps) // DEPTH}
    sizes |= {name: size for name, size in window_sizes(shapes).items() if name in SIZES}
    sizes |= gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    has_depth = shapes.source[0] != 1 or shapes.kernel[0] > 1 or shapes.begins[0] != 0
    variant = Variant.of(NAME, axes=3 if has_depth else 2, **tile_params(tiling.tile), **epilogue_params(node))
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"conv": (TiledRule(NAME, GemmTiling, _refusal, _tilings, _emit),)}
