"""Pools of bytes: max pools, and means that are requantized."""

from __future__ import annotations

import math

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.pool import pool_sizes
from cnnc.lower.rules import LoweringRule
from cnnc.lower.spatial import float_bits
from cnnc.ops.quantized_operands import BYTES, average_scales
from cnnc.runtime.cpu import byte_max_filter
from cnnc.runtime.kernel import Variant


def _window_sizes(node: Node, builder: ProgramBuilder) -> dict[str, Dim]:
    """Those of a pool between tensors that may be ranges of channels; both are placed."""
    x, y = node.input(0), node.output
    gaps = {"x_gap": builder.gap(x), "y_gap": builder.gap(y)}
    return pool_sizes(node) | {"image_planes": x.type.physical_shape[1]} | gaps


def _max_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    x, y = node.input(0).type, node.output.type
    if y.dtype not in BYTES:
        return f"elements are {y.dtype.value}, not bytes"
    if y.rank > 5:
        return f"it has {y.rank - 2} spatial axes, at most 3 are supported"
    if x.layout != y.layout:
        return "its input and its result have different layouts"
    return "it has indices as a second output" if len(node.outputs) > 1 else None


def _filter_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _max_refusal(node, builder)
    if reason is not None:
        return reason
    x, y = node.input(0).type, node.output.type
    strides = getattr(node.attrs, "strides", ())
    if any(stride != 1 for stride in strides) or x.shape != y.shape:
        return "its result has another size than its input"
    return None if y.rank in (3, 4) else f"it has {y.rank - 2} spatial axes, not 1 or 2"


def _emit_filter(node: Node, builder: ProgramBuilder) -> None:
    x, y = node.input(0), node.output
    buffers = {"x": builder.argument(x, gaps=True), "y": builder.result(y, gaps=True)}
    sizes = _window_sizes(node, builder)
    lanes = y.type.layout.block if y.type.layout.is_blocked else 1
    variant = Variant.of("byte.max_filter", lanes=lanes, element=y.type.dtype.value)
    builder.kernel_step(node, [builder.call(variant, buffers, {name: sizes[name] for name in byte_max_filter.SIZES})])


def _emit_max(node: Node, builder: ProgramBuilder) -> None:
    x, y = node.input(0), node.output
    buffers = {"x": builder.argument(x, gaps=True), "y": builder.result(y, gaps=True)}
    lanes = y.type.layout.block if y.type.layout.is_blocked else 1
    variant = Variant.of("byte.max_pool", lanes=lanes, element=y.type.dtype.value)
    builder.kernel_step(node, [builder.call(variant, buffers, _window_sizes(node, builder))])


def _average_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    scales = average_scales(node)
    if isinstance(scales, str):
        return scales
    if not node.output.type.layout.is_blocked or node.input(0).type.layout != node.output.type.layout:
        return "its input and its result are not blocked alike"
    return None


def _emit_average(node: Node, builder: ProgramBuilder) -> None:
    scales = average_scales(node)
    assert not isinstance(scales, str)
    x, y = scales
    buffers = {"x": builder.argument(node.input(0), gaps=True), "y": builder.result(node.output, gaps=True)}
    sizes = _window_sizes(node, builder) | {"x_zero": x.zero, "y_zero": y.zero, "y_least": _least(node)}
    sizes |= {"x_scale": float_bits(float(x.scale)), "y_scale": float_bits(float(y.scale))}
    type = node.output.type
    variant = Variant.of("byte.average_pool", lanes=type.layout.block, element=type.dtype.value)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _emit_global_average(node: Node, builder: ProgramBuilder) -> None:
    scales = average_scales(node)
    assert not isinstance(scales, str)
    x, y = scales
    type = node.input(0).type
    positions = math.prod(int(size) for size in type.shape[2:] if isinstance(size, int))
    # In the order in which the reference joins them.
    factor = x.scale / (y.scale * np.float32(positions))
    buffers = {"x": builder.argument(node.input(0), gaps=True), "y": builder.result(node.output)}
    sizes: dict[str, Dim] = {"images": type.shape[0], "planes": type.physical_shape[1], "positions": positions}
    sizes |= {"x_gap": builder.gap(node.input(0)), "x_zero": x.zero, "factor": float_bits(float(factor))}
    sizes |= {"y_zero": y.zero, "y_least": _least(node)}
    variant = Variant.of("byte.global_average", lanes=type.layout.block, element=type.dtype.value)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _least(node: Node) -> int:
    """The smallest value of the result's type."""
    return int(np.iinfo(node.output.type.dtype.numpy).min)


RULES = {
    "max_pool": (
        LoweringRule("byte.max_filter", _filter_refusal, _emit_filter),
        LoweringRule("byte.max_pool", _max_refusal, _emit_max),
    ),
    "q_linear_average_pool": (LoweringRule("byte.average_pool", _average_refusal, _emit_average),),
    "q_linear_global_average_pool": (LoweringRule("byte.global_average", _average_refusal, _emit_global_average),),
}
