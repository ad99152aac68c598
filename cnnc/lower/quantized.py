"""Element-wise ops on bytes, between the layers."""

from __future__ import annotations

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Node, Value
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.movement import broadcast_copy, broadcast_refusal, copy_call
from cnnc.lower.rules import LoweringRule
from cnnc.lower.spatial import float_bits
from cnnc.ops.byte_table import TABLE_OPS, byte_table
from cnnc.ops.quantized_operands import BYTES, Elementwise, byte_elementwise
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call


def _least(node: Node) -> int:
    """The smallest value of the output's type; 0 for floats, which have no use for it."""
    dtype = node.output.type.dtype
    return int(np.iinfo(dtype.numpy).min) if dtype in BYTES else 0


def _elementwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    found = byte_elementwise(node)
    if isinstance(found, str):
        return found
    operands, output = [node.input(position) for position in found.data], node.output.type
    if {value.type.layout for value in operands} != {output.layout}:
        return "its operands and its result have different layouts"
    if not found.spread or (found.spread == "gate" and output.layout.is_blocked):
        return None
    reasons = [broadcast_refusal(value, output.shape) for value in operands]
    return next((reason for reason in reasons if reason is not None), None)


def _emit_elementwise(node: Node, builder: ProgramBuilder) -> None:
    found = byte_elementwise(node)
    assert isinstance(found, Elementwise)
    operands = dict(zip("ab", (node.input(position) for position in found.data)))
    is_gated = found.spread == "gate" and node.output.type.layout.is_blocked
    buffers: dict[str, BufferArg | int] = {"b": 0}
    calls: list[Call] = []
    for name, value in operands.items():
        if value.type.shape == node.output.type.shape or is_gated:
            buffers[name] = builder.argument(value, gaps=True)
            continue
        wide = BufferArg(builder.temporary(f"{value.name}.broadcast", node.output.type.bytes))
        calls.append(copy_call(builder, broadcast_copy(value, node.output.type.shape), wide, 1))
        buffers[name] = wide
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes = _image_sizes(node.output) | {"planes": 1, "b_gap": 0, "y_gap": builder.gap(node.output)}
    sizes |= {f"{name}_gap": builder.gap(value) for name, value in operands.items()}
    if is_gated:
        shape = node.output.type.physical_shape
        sizes |= {"planes": shape[1], "count": product(shape[2:])}
    for name in ("a_scale", "b_scale", "addend", "y_scale"):
        sizes[name] = float_bits(getattr(found, name))
    sizes |= {"a_zero": found.a_zero, "b_zero": found.b_zero, "y_zero": found.y_zero, "y_least": _least(node)}
    element, result = operands["a"].type.dtype.value, node.output.type.dtype.value
    params = {"kind": found.kind, "element": element, "result": result}
    variant = Variant.of("byte.elementwise", gate=int(is_gated), lanes=builder.target.lanes, **params)
    builder.kernel_step(node, [*calls, builder.call(variant, buffers, sizes)])


def _table_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    table = byte_table(node)
    if isinstance(table, str):
        return table
    same = node.input(table.position).type.layout == node.output.type.layout
    return None if same else "its operand and its result have different layouts"


def _emit_table(node: Node, builder: ProgramBuilder) -> None:
    table = byte_table(node)
    assert not isinstance(table, str)
    x = node.input(table.position)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(x, gaps=True),
        "table": BufferArg(builder.constant(table.entries, f"{node.name}.table")),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes = _image_sizes(node.output) | {"x_gap": builder.gap(x), "y_gap": builder.gap(node.output)}
    builder.kernel_step(node, [builder.call(Variant.of("byte.table"), buffers, sizes)])


def _image_sizes(value: Value) -> dict[str, Dim]:
    """A blocked tensor as images, which may lie apart; any other as one."""
    shape = value.type.physical_shape
    first = shape[0] if value.type.layout.is_blocked else 1
    return {"images": first, "count": product(shape[1:] if value.type.layout.is_blocked else shape)}


_ELEMENTWISE = LoweringRule("byte.elementwise", _elementwise_refusal, _emit_elementwise)

_TABLE = LoweringRule("byte.table", _table_refusal, _emit_table)

RULES = {
    **dict.fromkeys(sorted(TABLE_OPS), (_TABLE,)),
    **dict.fromkeys(("quantize_linear", "dequantize_linear"), (_ELEMENTWISE,)),
    **dict.fromkeys(("q_linear_add", "q_linear_mul"), (_TABLE, _ELEMENTWISE)),
}
