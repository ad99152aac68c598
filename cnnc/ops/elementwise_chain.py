"""elementwise_chain: several element-wise ops as one node, run as one instruction over L1-sized tiles."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.opdef import OpDef
from cnnc.types import TensorType


@dataclass(frozen=True, slots=True)
class ChainStep(Attrs):
    """One op of a chain.

    Args:
        op: an element-wise op of the IR.
        operands: which values it reads: inputs of the chain first, then results of earlier steps; -1 is absent.
        attributes: its attributes by name, in the order of its attribute class.
    """

    op: str = ""
    operands: tuple[int, ...] = ()
    attributes: tuple[tuple[str, float | int | str], ...] = ()


@dataclass(frozen=True, slots=True)
class ElementwiseChainAttrs(Attrs):
    """Steps in order; the result of the last one is the output."""

    steps: tuple[ChainStep, ...] = ()


def step_attributes(attrs: Attrs) -> tuple[tuple[str, float | int | str], ...]:
    """Attributes of a node in the form that ``ChainStep`` keeps."""
    return tuple(attrs.keywords().items())


def _infer(attrs: ElementwiseChainAttrs, operands: Operands) -> tuple[TensorType, ...]:
    from cnnc.ops import OPS

    if not attrs.steps:
        raise ModelError("an elementwise_chain needs a step")
    facts: list[Fact | None] = list(operands)
    for step in attrs.steps:
        if any(index >= len(facts) for index in step.operands):
            raise ModelError(f"step {step.op} reads a value that is not computed before it")
        op = OPS[step.op]
        if not op.elementwise:
            raise ModelError(f"{step.op} is not element-wise")
        read = Operands([None if index < 0 else facts[index] for index in step.operands])
        facts.append(Fact(op.infer_types(op.attrs(**dict(step.attributes)), read)[0]))
    last = facts[-1]
    assert last is not None
    return (last.type,)


OPS = (OpDef("elementwise_chain", _infer, ElementwiseChainAttrs, inputs=(1, None), elementwise=True),)

CHAIN_OPS = frozenset(
    "add sub mul div min max pow neg abs sqrt exp log relu clip leaky_relu elu selu celu sigmoid tanh "
    "hard_sigmoid hard_swish swish mish gelu softplus softsign erf reciprocal floor ceil round sign prelu "
    "thresholded_relu shrink where equal less greater less_or_equal greater_or_equal and or not xor "
    "is_nan".split()
)
"""Ops that a chain may hold: the compiled tape has a vector op for each."""
