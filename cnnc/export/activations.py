"""Activations: those that fused ops apply to their result, and ops that old opsets write as several operators."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cnnc.export.operation import Operand
from cnnc.export.writer import Exporter, NodeWriter
from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ops.activation import Activation
from cnnc.ops.nonlinearity import AlphaAttrs, GeluAttrs, HardSigmoidAttrs, LeakyReluAttrs, SeluAttrs
from cnnc.types import TensorType

_SWISH_SINCE = 24


def activated(node: NodeWriter, x: Operand, activation: Activation, slopes: Operand | None = None) -> Operand:
    """The activation of ``x`` [N, C, ...]; ``slopes`` are those of prelu, one a channel or one in all."""
    if activation.is_identity:
        return x
    inputs: list[Operand | None] = [x]
    if activation.kind == "clip":
        inputs += _bounds(node, x, activation)
    elif slopes is not None:
        inputs.append(per_channel(node, slopes, x.type.rank))
    op, attrs = _operation(activation)
    return node.part(op, inputs, attrs, x.type)


def _operation(activation: Activation) -> tuple[str, Attrs]:
    """The op that an activation is, with its attributes."""
    match activation.kind:
        case "leaky_relu":
            return "leaky_relu", LeakyReluAttrs(activation.alpha)
        case "elu":
            return "elu", AlphaAttrs(activation.alpha)
        case "hard_sigmoid":
            return "hard_sigmoid", HardSigmoidAttrs(activation.alpha, activation.beta)
        case "gelu" | "gelu_tanh":
            return "gelu", GeluAttrs("none" if activation.kind == "gelu" else "tanh")
        case "silu":
            return "swish", AlphaAttrs()
        case "selu":
            return "selu", SeluAttrs()
    return activation.kind, NO_ATTRS


def _bounds(node: NodeWriter, x: Operand, activation: Activation) -> list[Operand | None]:
    """Bounds of a clip; infinite ones are left out."""
    bounds = {"min": activation.alpha, "max": activation.beta}
    return [
        node.constant(bound, x.type.dtype, name) if math.isfinite(bound) else None for name, bound in bounds.items()
    ]


def per_channel(node: NodeWriter, values: Operand, rank: int) -> Operand:
    """One value a channel, or one in all, shaped to broadcast against [N, C, ...] of that rank: [C, 1, ...]."""
    shape = (-1, *[1] * (rank - 2))
    if values.array is not None:
        return node.model.new_constant(values.array.reshape(shape), values.name)
    type = TensorType((values.type.elements, *[1] * (rank - 2)), values.type.dtype)
    return node.step("Reshape", [values, node.int64(shape, "per_channel")], type)


def export_swish(node: NodeWriter) -> None:
    """x * sigmoid(alpha * x) as Sigmoid and Mul, unless an opset is asked for that has Swish.

    Few tools take an opset as new as that, and they know the two nodes for what they are.
    """
    x = node.input(0)
    if (node.model.asked_opset or 0) >= _SWISH_SINCE:
        node.finish("Swish", [x], **node.fields())
        return
    alpha = node.attrs.alpha
    inner = x if alpha == 1 else node.step("Mul", [x, node.constant(alpha, x.type.dtype, "alpha")])
    node.finish("Mul", [x, node.step("Sigmoid", [inner])])


EXPORTERS: Mapping[str, Exporter] = {"swish": export_swish}
