"""Convolutions on tensor cores, where the precision of the program allows it: implicit GEMM of rounded factors."""

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
from cnnc.lower.conv_prologue import prologue_buffers, prologue_params, prologue_sizes
from cnnc.lower.cuda.conv import Buffers, Sizes, groups_refusal, input_blocks, product_calls, window_axes
from cnnc.lower.cuda.tensor_cores import tensor_refusal, weights_refusal
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cuda.conv_mma import NAME
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.tensor_tiling import TensorProduct, TensorTiling, rank_tensor_tilings
from cnnc.runtime.cuda.warp_tile import pack_fragments, tile_params
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = tensor_refusal(builder) or dense_refusal(node, takes_prologue=True)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    weights = constant_array(node, 1)
    assert weights is not None
    reason = groups_refusal(input_blocks(node), conv_shapes(node).out_channels)
    return reason or weights_refusal(weights, builder)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, TensorTiling]]:
    shapes, groups = conv_shapes(node), conv_attrs(node).group
    images = typical(node.output.type.shape[0], 1)
    pixels = images * typical(product(shapes.result))
    inputs = images * typical(product(shapes.source)) * shapes.blocks_in
    residual = pixels * shapes.blocks_out if node.optional(3) is not None else 0
    sizes = TensorProduct(
        groups,
        pixels,
        shapes.blocks_out * LANES // groups,
        shapes.blocks_in // groups,
        math.prod(shapes.kernel),
        4 * LANES * (inputs + residual),
    )
    return rank_tensor_tilings(sizes, builder.numerics.precision, facts_of(builder.target), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: TensorTiling) -> None:
    shapes, source, weights = conv_shapes(node), input_blocks(node), constant_array(node, 1)
    assert weights is not None
    tile = tiling.tile(builder.numerics.precision)
    packed = pack_fragments(weights, source, tile)
    buffers: Buffers = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **prologue_buffers(node, builder),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: Sizes = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= window_sizes(shapes) | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    sizes |= {"groups": source.groups, "weight_floats": packed.size, **prologue_sizes(node, builder)}
    options = {"axes": window_axes(node, shapes), **epilogue_params(node), **prologue_params(node)}
    variant = Variant.of(NAME, **tile_params(tile), **options)
    builder.kernel_step(node, product_calls(node, builder, variant, tiling.splits, source, buffers, sizes))


RULES = {"conv": (TiledRule(NAME, TensorTiling, _refusal, _tilings, _emit),)}
