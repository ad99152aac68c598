"""Element-wise ops, chains of them, and ops that are one along the channels: what they compute, for any kernel.

A target has one kernel that runs chains of element-wise ops, and gets its rules from ``elementwise_rules``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.elementwise_operands import Read, channel_vector, operand_of, reads_of
from cnnc.lower.elementwise_steps import activation_steps, chain_steps
from cnnc.lower.rules import LoweringRule, Rule
from cnnc.ops.activation import Activation
from cnnc.ops.elementwise_chain import CHAIN_OPS, ChainStep
from cnnc.ops.normalization import BatchNormalizationAttrs
from cnnc.types import DType

_RANK = 6

EmitChain = Callable[[Node, ProgramBuilder, Sequence[Read | float], Sequence[ChainStep]], None]
"""Adds the step that computes a chain over operands into the node's output, and places it."""

_Work = tuple[Sequence[Read | float], Sequence[ChainStep]]
"""Operands, and the chain over them."""


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    output = node.output.type
    if output.dtype not in (DType.F32, DType.BOOL):
        return f"the result is {output.dtype.value}, not f32 or bool"
    reads = reads_of(node, builder)
    if isinstance(reads, str):
        return reads
    if not any(isinstance(read, Read) for read in reads):
        return "all operands are constants"
    if len(output.physical_shape) > _RANK:
        return f"it has {len(output.physical_shape)} dims, at most {_RANK} are supported"
    return None


def _chain(node: Node, builder: ProgramBuilder) -> _Work:
    reads = reads_of(node, builder)
    assert not isinstance(reads, str)
    return reads, chain_steps(node)


# ---- scale_shift ----------------------------------------------------------------------------------------------------


def _scale_shift_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if not node.input(1).is_constant or not node.input(2).is_constant:
        return "its scale or shift is not constant"
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    if node.input(0).type.layout != node.output.type.layout:
        return "input and output have different layouts"
    activation = getattr(node.attrs, "activation", Activation())
    return "a fused prelu has no step of its own" if activation.kind == "prelu" else None


def _scale_shift(node: Node, builder: ProgramBuilder) -> _Work:
    output = node.output.type
    x = operand_of(node.input(0), output, builder)
    assert isinstance(x, Read)
    scale, shift = node.input(1).array, node.input(2).array
    assert scale is not None and shift is not None
    reads: list[Read | float] = [x, channel_vector(scale, output), channel_vector(shift, output)]
    steps = [ChainStep("fma", (0, 1, 2))]
    activation = getattr(node.attrs, "activation", Activation())
    if activation.kind == "clip":
        reads += [activation.alpha, activation.beta]
        steps = [ChainStep("fma", (0, 1, 2)), ChainStep("clip", (5, 3, 4))]
    else:
        steps += activation_steps(activation, 3)
    return reads, steps


# ---- batch_normalization --------------------------------------------------------------------------------------------


def _batch_norm_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    assert isinstance(node.attrs, BatchNormalizationAttrs)
    if node.attrs.training_mode:
        return "it computes the statistics of its input"
    if node.input(0).is_constant:
        return "its input is a constant"
    if node.output.type.rank > _RANK:
        return f"it has {node.output.type.rank} dims, at most {_RANK} are supported"
    if not all(node.input(position).is_constant for position in range(1, 5)):
        return "its scale, bias, mean or variance is not constant"
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    if not isinstance(node.output.type.shape[1], int):
        return "how many channels it has is only known at run time"
    if node.input(0).type.layout != node.output.type.layout:
        return "input and output have different layouts"
    return None


def _batch_norm(node: Node, builder: ProgramBuilder) -> _Work:
    assert isinstance(node.attrs, BatchNormalizationAttrs)
    output = node.output.type
    x = operand_of(node.input(0), output, builder)
    gamma, beta, mean, variance = (node.input(position).array for position in range(1, 5))
    assert isinstance(x, Read) and gamma is not None and beta is not None and mean is not None and variance is not None
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + node.attrs.epsilon)
    shift = beta.astype(np.float64) - mean.astype(np.float64) * scale
    reads: list[Read | float] = [x, channel_vector(scale, output), channel_vector(shift, output)]
    return reads, [ChainStep("fma", (0, 1, 2))]


def elementwise_rules(name: str, emit: EmitChain) -> dict[str, tuple[Rule, ...]]:
    """Op -> the rule by which kernel ``name`` computes it."""

    def rule(
        refusal: Callable[[Node, ProgramBuilder], str | None], work: Callable[[Node, ProgramBuilder], _Work]
    ) -> tuple[Rule, ...]:
        return (LoweringRule(name, refusal, lambda node, builder: emit(node, builder, *work(node, builder))),)

    return {
        **dict.fromkeys((*sorted(CHAIN_OPS), "elementwise_chain"), rule(_refusal, _chain)),
        "batch_normalization": rule(_batch_norm_refusal, _batch_norm),
        "scale_shift": rule(_scale_shift_refusal, _scale_shift),
    }
