"""Activations: those that fused ops apply to their result, and ops that old opsets write as several operators."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cnnc.export.operation import Operand
from cnnc.export.writer import Exporter, NodeWriter
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.types import TensorType

_SWISH_SINCE = 24


def activated(node: NodeWriter, x: Operand, activation: Activation, slopes: Operand | None = None) -> Operand:
    """The activation of ``x`` [N, C, ...]; ``slopes`` are those of prelu, one a channel or one in all."""
    alpha, beta = activation.alpha, activation.beta
    match activation.kind:
        case "none":
            return x
        case "clip":
            return _clip(node, x, alpha, beta)
        case "prelu":
            if slopes is None:
                node.refuse("its prelu has no slopes")
            return node.part("prelu", [x, per_channel(node, slopes, x.type.rank)], type=x.type)
        case "leaky_relu" | "elu" as op:
            return node.part(op, [x], OPS[op].attrs(alpha=alpha), x.type)  # type: ignore[call-arg]
        case "hard_sigmoid":
            attrs = OPS["hard_sigmoid"].attrs(alpha=alpha, beta=beta)  # type: ignore[call-arg]
            return node.part("hard_sigmoid", [x], attrs, x.type)
        case "gelu" | "gelu_tanh" as kind:
            attrs = OPS["gelu"].attrs(approximate="none" if kind == "gelu" else "tanh")  # type: ignore[call-arg]
            return node.part("gelu", [x], attrs, x.type)
        case "silu":
            return node.part("swish", [x], OPS["swish"].attrs(), x.type)
    # relu, sigmoid, tanh, hard_swish, mish, softplus, selu: ops of the same name with their defaults.
    return node.part(activation.kind, [x], OPS[activation.kind].attrs(), x.type)


def _clip(node: NodeWriter, x: Operand, low: float, high: float) -> Operand:
    """Clip; an infinite bound is left out."""
    bounds = [
        node.constant(bound, x.type.dtype, name) if math.isfinite(bound) else None
        for name, bound in (("min", low), ("max", high))
    ]
    return node.part("clip", [x, *bounds], type=x.type)


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
