"""``Activation``: the element-wise function that a fused op applies to its result."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Operands

KINDS = (
    "none",
    "relu",
    "clip",
    "leaky_relu",
    "prelu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_swish",
    "silu",
    "mish",
    "softplus",
    "gelu",
    "gelu_tanh",
    "elu",
    "selu",
)
"""Every kind. ``prelu`` takes its slopes from an input of the op, the others only use ``alpha`` and ``beta``."""


@dataclass(frozen=True, slots=True)
class Activation(Attrs):
    """An activation by kind.

    Args:
        kind: one of ``KINDS``.
        alpha: lower bound of clip; slope of leaky_relu and hard_sigmoid; scale of elu's negative side.
        beta: upper bound of clip; offset of hard_sigmoid.
    """

    kind: str = "none"
    alpha: float = 0.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(f"there is no activation {self.kind!r}", hint=f"use one of {', '.join(KINDS)}")

    @property
    def is_identity(self) -> bool:
        return self.kind == "none"


IDENTITY = Activation()


def check_activation(activation: Activation, operands: Operands, *, slopes: int) -> None:
    """Check that ``prelu``, and nothing else, has slopes in operand ``slopes`` (-1: the op has no such operand).

    Raises:
        ModelError: slopes are missing or left over.
    """
    given = slopes >= 0 and operands[slopes] is not None
    if given != (activation.kind == "prelu"):
        raise ModelError(
            f"activation {activation.kind} with slopes in input {slopes}"
            if given
            else "activation prelu needs its slopes as an input"
        )
