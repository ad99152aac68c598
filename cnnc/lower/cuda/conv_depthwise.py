"""Convolutions of one filter a channel on GPUs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    constant_array,
    conv_attrs,
    conv_shapes,
    depthwise_refusal,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    window_sizes,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cpu.conv_depthwise import pack_depthwise
from cnnc.runtime.cuda.conv_depthwise import NAME
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.row_tiling import RowLayer, RowTiling, rank_row_tilings
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_KNOWN_WINDOWS = (3, 5, 7)
"""Heights and widths of windows that have variants of their own, at strides 1 and 2 and without dilation."""


def _is_known(node: Node) -> bool:
    shapes = conv_shapes(node)
    known = all(size in _KNOWN_WINDOWS for size in shapes.kernel[1:]) and shapes.strides[1] in (1, 2)
    return known and shapes.dilations[1:] == (1, 1)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, RowTiling]]:
    shapes = conv_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    planes = shapes.blocks_out * typical(node.output.type.shape[0], 1) * depth
    window, stride = shapes.kernel, shapes.strides[1]
    known = _is_known(node)
    layer = RowLayer(
        planes=planes,
        map=(height, width),
        steps=window[0] * window[2] if known else math.prod(window),
        fixed_loads=2 * window[1] - stride if known else 1,
        row_loads=stride if known else 1,
        row_products=4 * (window[1] if known else 1),
        moved_bytes=4 * LANES * planes * height * width * (1 + math.prod(shapes.strides)),
    )
    return rank_row_tilings(layer, facts_of(builder.target), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: RowTiling) -> None:
    shapes = conv_shapes(node)
    weights = constant_array(node, 1)
    channels = node.output.type.shape[1]
    assert weights is not None and isinstance(channels, int)
    packed = pack_depthwise(weights, shapes.lanes, node.output.type.layout.lanes(channels), shapes.blocks_out)
    known = _is_known(node)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "CB": shapes.blocks_out}
    sizes |= window_sizes(shapes) | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    variant = Variant.of(
        NAME,
        rows=tiling.rows,
        window=shapes.kernel[1] if known else 0,
        window_columns=shapes.kernel[2] if known else 0,
        stride=shapes.strides[1] if known else 0,
        lanes=shapes.lanes,
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"conv": (TiledRule(NAME, RowTiling, depthwise_refusal, _tilings, _emit),)}
