"""Convolutions of a plain input by Winograd's method in rows: where it may be used, and with which outputs a tile."""

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
    dense_refusal,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    window_sizes,
)
from cnnc.lower.conv_window import conv_axes
from cnnc.lower.conv_winograd import insists_on_winograd, most_outputs
from cnnc.lower.error_budget import may_err_by
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cpu.conv_plain_winograd import NAME, pack_plain_winograd, phase_taps
from cnnc.runtime.cpu.plain_winograd_tiling import PlainWinogradTiling, rank_plain_winograd_tilings
from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.cpu.winograd_error import winograd_error
from cnnc.runtime.cpu.winograd_matrices import MOST_PRODUCTS
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_MOST_COLUMNS, _MOST_STRIDE = 16, 4
"""Of the window: its transforms are unrolled."""


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if builder.numerics.winograd == "off":
        return "Winograd is off"
    reason = dense_refusal(node)
    if reason is not None:
        return reason
    if node.input(0).type.layout.is_blocked:
        return "its input is in blocked layout"
    if conv_attrs(node).group != 1:
        return "it has several groups"
    shapes = conv_shapes(node)
    if not all(isinstance(size, int) for size in (*shapes.source, *shapes.result, *shapes.begins)):
        return "the size of its map is not known"
    if shapes.dilations[1:] != (1, 1):
        return "its window has gaps"
    if shapes.kernel[2] > _MOST_COLUMNS:
        return f"its window is more than {_MOST_COLUMNS} wide"
    if shapes.strides[2] > _MOST_STRIDE:
        return f"its horizontal stride is more than {_MOST_STRIDE}"
    taps = phase_taps(shapes.kernel[2], shapes.strides[2])
    if not 1 < taps < MOST_PRODUCTS:
        return f"its window has {taps} columns at the distance of its stride, not 2 to {MOST_PRODUCTS - 1}"
    if shapes.kernel[1] * shapes.strides[2] > CHAIN:
        return f"its window and stride have more than {CHAIN} products for a channel"
    if not _variants(node, builder):
        return "its rounding errors could exceed the network's share"
    return None


def _variants(node: Node, builder: ProgramBuilder) -> list[int]:
    """Outputs that a tile may have."""
    shapes, choice = conv_shapes(node), builder.numerics.winograd
    taps = phase_taps(shapes.kernel[2], shapes.strides[2])
    products = shapes.blocks_in * math.prod(shapes.kernel[:2]) * shapes.strides[2]
    found = dict.fromkeys(min(most, MOST_PRODUCTS + 1 - taps) for most in most_outputs(builder))
    return [
        outputs
        for outputs in found
        if choice != "auto" or may_err_by(winograd_error((1, outputs), (1, taps), products), node, builder)
    ]


def _is_allowed(node: Node, builder: ProgramBuilder, tiling: PlainWinogradTiling) -> bool:
    return tiling.outputs in _variants(node, builder)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, PlainWinogradTiling]]:
    shapes = conv_shapes(node)
    batch = typical(node.output.type.shape[0], 1)
    variants = _variants(node, builder)
    return rank_plain_winograd_tilings(
        conv_axes(node), batch, shapes.blocks_in, shapes.blocks_out, shapes.lanes, variants, count
    )


def _emit(node: Node, builder: ProgramBuilder, tiling: PlainWinogradTiling) -> None:
    shapes = conv_shapes(node)
    weights = constant_array(node, 1)
    assert weights is not None
    weights = weights.reshape(*weights.shape[:2], *shapes.kernel)
    stride = shapes.strides[2]
    packed = pack_plain_winograd(weights, tiling.outputs, stride, shapes.lanes, tiling.blocks)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "C": shapes.blocks_in, "YB": shapes.blocks_out}
    window = window_sizes(shapes)
    sizes |= {name: window[name] for name in "D H W OD OH OW KD KH SD SH DD PD PH PW".split()}
    sizes |= {"item_rows": tiling.item_rows}
    sizes |= gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    variant = Variant.of(
        NAME,
        outputs=tiling.outputs,
        window=shapes.kernel[2],
        stride=stride,
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=shapes.lanes,
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"conv": (TiledRule(NAME, PlainWinogradTiling, _refusal, _tilings, _emit, insists_on_winograd, _is_allowed),)}
