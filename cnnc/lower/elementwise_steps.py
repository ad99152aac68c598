"""Element-wise ops of the IR as steps of a kernel: ``cnnc.runtime.cpu.tape_encoding`` says which there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.ir import Node
from cnnc.lower.elementwise_operands import Read
from cnnc.lower.spatial import SELU_ALPHA, SELU_GAMMA
from cnnc.ops.activation import Activation
from cnnc.ops.elementwise_chain import ChainStep, ElementwiseChainAttrs, step_attributes
from cnnc.runtime.cpu.tape_encoding import TapeStep

_ACTIVATION_OPS = {"silu": "swish"}


def chain_steps(node: Node) -> tuple[ChainStep, ...]:
    """The node as steps over its inputs: a chain's own, or the single step that the node is."""
    if isinstance(node.attrs, ElementwiseChainAttrs):
        return node.attrs.steps
    operands = tuple(-1 if value is None else position for position, value in enumerate(node.inputs))
    return (ChainStep(node.op, operands, step_attributes(node.attrs)),)


@dataclass
class _Tape:
    """Tape steps under construction: ``values`` maps chain value indices to tape values or constants."""

    values: list[int | float]
    steps: list[TapeStep]
    inputs: int

    def add(self, op: str, operands: Sequence[int | float], alpha: float = 0.0, beta: float = 0.0) -> int:
        self.steps.append(TapeStep(op, tuple(operands), alpha, beta))
        return self.inputs + len(self.steps) - 1


def _translate(step: ChainStep, tape: _Tape) -> int:
    """Append one IR op to the tape; returns the value of its result."""
    read: list[int | float | None] = [None if index < 0 else tape.values[index] for index in step.operands]
    given = [operand for operand in read if operand is not None]
    attributes: Mapping[str, float | int | str] = dict(step.attributes)
    alpha, beta = float(attributes.get("alpha", 0.0)), float(attributes.get("beta", 0.0))
    match step.op:
        case "clip":
            return _translate_clip(read, tape)
        case "min" | "max":
            result = given[0] if len(given) > 1 else tape.add("copy", given)
            for operand in given[1:]:
                result = tape.add(step.op, [result, operand])
            return int(result)
        case "gelu":
            return tape.add("gelu_tanh" if attributes.get("approximate") == "tanh" else "gelu", given)
        case "selu":
            return tape.add("selu", given, alpha, float(attributes.get("gamma", SELU_GAMMA)))
        case "shrink":
            return tape.add("shrink", given, float(attributes.get("bias", 0.0)), float(attributes.get("lambd", 0.5)))
        case _:
            return tape.add(step.op, given, alpha, beta)


def _translate_clip(read: Sequence[int | float | None], tape: _Tape) -> int:
    x = read[0]
    low = read[1] if len(read) > 1 and read[1] is not None else -np.inf
    high = read[2] if len(read) > 2 and read[2] is not None else np.inf
    assert x is not None
    if isinstance(low, float) and isinstance(high, float):
        return tape.add("clip", [x], low, high)
    return tape.add("min", [tape.add("max", [x, low]), high])


def activation_steps(activation: Activation, operand: int) -> tuple[ChainStep, ...]:
    """A fused activation as a step; none for the identity. Clip has its bounds as operands: it is not one of these."""
    if activation.is_identity:
        return ()
    attributes: dict[str, float | int | str] = {"alpha": activation.alpha, "beta": activation.beta}
    op = _ACTIVATION_OPS.get(activation.kind, activation.kind)
    if activation.kind == "silu":
        attributes = {"alpha": 1.0}
    elif activation.kind == "gelu_tanh":
        op, attributes = "gelu", {"approximate": "tanh"}
    elif activation.kind == "selu":
        attributes = {"alpha": SELU_ALPHA, "gamma": SELU_GAMMA}
    return (ChainStep(op, (operand,), tuple(attributes.items())),)


def kernel_steps(reads: Sequence[Read | float], steps: Sequence[ChainStep]) -> tuple[list[Read], list[TapeStep]]:
    """(operands in memory, steps over them) of a chain over ``reads``; the last step gives the result."""
    memory = [read for read in reads if isinstance(read, Read)]
    numbers = {id(read): position for position, read in enumerate(memory)}
    values: list[int | float] = [numbers[id(read)] if isinstance(read, Read) else read for read in reads]
    tape = _Tape(values, [], len(memory))
    for step in steps:
        tape.values.append(_translate(step, tape))
    assert tape.values[-1] == tape.inputs + len(tape.steps) - 1
    return memory, tape.steps
