"""Ops on bytes between the layers: element-wise ones, pools."""

from __future__ import annotations

import math

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.pool import pool_sizes
from cnnc.lower.rules import LoweringRule
from cnnc.lower.spatial import float_bits
from cnnc.ops.quantized_operands import BYTES, Elementwise, byte_elementwise, global_average_scale
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg


def _least(node: Node) -> int:
    """The smallest value of the output's type; 0 for floats, which have no use for it."""
    dtype = node.output.type.dtype
    return int(np.iinfo(dtype.numpy).min) if dtype in BYTES else 0


def _elementwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    found = byte_elementwise(node)
    if isinstance(found, str):
        return found
    layouts = {node.input(position).type.layout for position in ((0, 3) if found.kind == "add" else (0,))}
    return None if layouts == {node.output.type.layout} else "its operands and its result have different layouts"


def _emit_elementwise(node: Node, builder: ProgramBuilder) -> None:
    found = byte_elementwise(node)
    assert isinstance(found, Elementwise)
    sizes: dict[str, Dim] = {"count": product(node.output.type.physical_shape)}
    for name in ("a_scale", "b_scale", "addend", "y_scale"):
        sizes[name] = float_bits(getattr(found, name))
    sizes |= {"a_zero": found.a_zero, "y_zero": found.y_zero, "y_least": _least(node)}
    buffers: dict[str, BufferArg | int] = {
        "a": builder.argument(node.input(0)),
        "b": builder.argument(node.input(3)) if found.kind == "add" else 0,
    }
    buffers["y"] = builder.result(node.output)
    element, result = node.input(0).type.dtype.value, node.output.type.dtype.value
    variant = Variant.of("byte.elementwise", kind=found.kind, element=element, result=result)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _average_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    scales = global_average_scale(node)
    if isinstance(scales, str):
        return scales
    if not node.output.type.layout.is_blocked or node.input(0).type.layout != node.output.type.layout:
        return "its input and its result are not blocked alike"
    return None


def _emit_average(node: Node, builder: ProgramBuilder) -> None:
    scales = global_average_scale(node)
    assert not isinstance(scales, str)
    x, y = scales
    type = node.input(0).type
    positions = math.prod(int(size) for size in type.shape[2:] if isinstance(size, int))
    # In the order in which the reference joins them.
    factor = x.scale / (y.scale * np.float32(positions))
    sizes: dict[str, Dim] = {"planes": product(type.physical_shape[:2]), "positions": positions}
    sizes |= {"x_zero": x.zero, "factor": float_bits(float(factor)), "y_zero": y.zero, "y_least": _least(node)}
    buffers = {"x": builder.argument(node.input(0)), "y": builder.result(node.output)}
    variant = Variant.of("byte.global_average", lanes=type.layout.block, element=type.dtype.value)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _max_pool_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    x, y = node.input(0).type, node.output.type
    if y.dtype not in BYTES:
        return f"elements are {y.dtype.value}, not bytes"
    if not y.layout.is_blocked or x.layout != y.layout:
        return "its input and its result are not blocked alike"
    return "it has indices as a second output" if len(node.outputs) > 1 else None


def _emit_max_pool(node: Node, builder: ProgramBuilder) -> None:
    buffers = {"x": builder.argument(node.input(0)), "y": builder.result(node.output)}
    type = node.output.type
    variant = Variant.of("byte.max_pool", lanes=type.layout.block, element=type.dtype.value)
    builder.kernel_step(node, [builder.call(variant, buffers, pool_sizes(node))])


_ELEMENTWISE = LoweringRule("byte.elementwise", _elementwise_refusal, _emit_elementwise)

RULES = {
    **dict.fromkeys(("quantize_linear", "dequantize_linear", "requantize", "q_linear_add"), (_ELEMENTWISE,)),
    "q_linear_global_average_pool": (LoweringRule("byte.global_average", _average_refusal, _emit_average),),
    "max_pool": (LoweringRule("byte.max_pool", _max_pool_refusal, _emit_max_pool),),
}
