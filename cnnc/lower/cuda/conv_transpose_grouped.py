"""Transposed convolutions on GPUs in groups of any size, or of padding that only shows at run time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnc.dims import product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cuda.conv import Buffers, Sizes
from cnnc.lower.cuda.conv_transpose import (
    product_refusal,
    transpose_attrs,
    transpose_begins,
    transpose_refusal,
    transpose_source,
    transpose_steps,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, channel_lanes, known_volume, sizes_of, typical, volume
from cnnc.runtime.cpu.conv_transpose import as_convolution
from cnnc.runtime.cuda.conv_grouped import QUAD, GroupedWeights, pack_grouped
from cnnc.runtime.cuda.conv_transpose_grouped import NAME
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.row_tiling import RowLayer, RowTiling, rank_row_tilings
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = transpose_refusal(node)
    if reason is not None:
        return reason
    if transpose_attrs(node).group == 1 and product_refusal(node) is None:
        return "it is one product of whole blocks"
    return None


def _packed(node: Node) -> GroupedWeights:
    weights, groups = node.input(1).array, transpose_attrs(node).group
    assert weights is not None
    return pack_grouped(as_convolution(weights, groups), groups, transpose_source(node).lane_of)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, RowTiling]]:
    x, y, weights = node.input(0).type, node.output.type, node.input(1).array
    assert weights is not None
    quads, inputs = _packed(node).quads, weights.shape[0] // transpose_attrs(node).group
    taps = math.prod(weights.shape[2:]) / math.prod(transpose_steps(node)[0])
    images, pixels = typical(y.shape[0], 1), typical(product(y.shape[2:]))
    blocks_in, blocks_out = _blocks(node)
    moved = blocks_in * typical(product(x.shape[2:])) + blocks_out * pixels
    layer = RowLayer(
        planes=images * blocks_out,
        map=(1, pixels),
        steps=math.ceil(taps * (inputs // QUAD if quads else inputs)),
        fixed_loads=QUAD if quads else 1 + QUAD,
        row_loads=1 if quads else QUAD,
        row_products=QUAD * QUAD if quads else QUAD,
        moved_bytes=4 * LANES * images * moved,
    )
    return rank_row_tilings(layer, facts_of(builder.target), count)


def _blocks(node: Node) -> tuple[int, int]:
    """Blocks of channels of input and output."""
    x, y = node.input(0).type, node.output.type
    channels, out_channels = x.shape[1], y.shape[1]
    assert isinstance(channels, int) and isinstance(out_channels, int)
    return x.layout.physical_channels(channels) // LANES, y.layout.physical_channels(out_channels) // LANES


def _emit(node: Node, builder: ProgramBuilder, tiling: RowTiling) -> None:
    attrs, x, y, packed = transpose_attrs(node), node.input(0).type, node.output.type, _packed(node)
    weights, bias = node.input(1).array, node.optional(2)
    assert weights is not None
    buffers: Buffers = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "lanes": BufferArg(builder.constant(packed.lanes, f"{node.name}.lanes")),
        "bias": BufferArg(builder.constant(channel_lanes(None if bias is None else bias.array, y), "bias")),
        "slopes": 0,
        "residual": 0,
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    (strides, dilations), (blocks_in, blocks_out) = transpose_steps(node), _blocks(node)
    sizes: Sizes = {"N": y.shape[0], "XB": blocks_in, "YB": blocks_out, "inputs": weights.shape[0] // attrs.group}
    sizes |= sizes_of("D H W", volume(x.shape[2:], 1)) | sizes_of("OD OH OW", volume(y.shape[2:], 1))
    sizes |= sizes_of("KD KH KW", known_volume(weights.shape[2:], 1)) | sizes_of("SD SH SW", strides)
    sizes |= sizes_of("DD DH DW", dilations) | sizes_of("PD PH PW", transpose_begins(node))
    sizes |= sizes_of("TD TH TW", [step // math.gcd(step, spread) for step, spread in zip(strides, dilations)])
    sizes |= {"x_gap": builder.gap(node.input(0)), "y_gap": builder.gap(node.output), "residual_gap": 0}
    options: dict[str, int | str] = {"activation": attrs.activation.kind, "residual": 0}
    variant = Variant.of(NAME, quads=int(packed.quads), lanes=LANES, **options)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes | activation_bits(attrs.activation))])


RULES = {"conv_transpose": (TiledRule(NAME, RowTiling, _refusal, _tilings, _emit),)}
