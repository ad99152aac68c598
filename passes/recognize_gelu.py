"""recognize-gelu: the Gaussian error linear unit, spelled by erf or by tanh, becomes gelu.

Before::

    %d = div(%x, 1.4142135)
    %e = erf(%d)
    %a = add(%e, 1.0)
    %m = mul(%x, %a)
    %y = mul(%m, 0.5)

After::

    %y = gelu(%x) {approximate="none"}

Fires when
1. 0.5 * x * (1 + erf(x / sqrt 2)), the three factors in any order, the inner one as a division or a product; or
2. 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))), likewise, the cube as pow or two products: this is
   gelu with approximate="tanh".

Must not fire for other constants (up to float32 rounding), or where the links are read elsewhere.

Numerics: rounding. Source: Hendrycks and Gimpel, "Gaussian error linear units" (2016); ONNX Gelu.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Bind, Graph, Notes, Op, rewrite
from cnnc.ops.nonlinearity import GeluAttrs
from cnnc.passes.activation_chain import activation_rules
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import scalar

_X = Bind("x")


def _halved_product(term: Op) -> tuple[Op, ...]:
    """0.5 * x * term: the half last, with x, or with the term."""
    return (
        Op("mul", Op("mul", term, _X, commutative=True), scalar(0.5), commutative=True),
        Op("mul", term, Op("mul", _X, scalar(0.5), commutative=True), commutative=True),
        Op("mul", Op("mul", term, scalar(0.5), commutative=True), _X, commutative=True),
    )


def _erf_terms() -> tuple[Op, ...]:
    arguments = (
        Op("div", _X, scalar(math.sqrt(2))),
        Op("mul", _X, scalar(math.sqrt(0.5)), commutative=True),
    )
    return tuple(Op("add", Op("erf", inner), scalar(1.0), commutative=True) for inner in arguments)


def _tanh_terms() -> tuple[Op, ...]:
    cubes = (
        Op("pow", _X, scalar(3.0)),
        Op("mul", Op("mul", _X, _X), _X, commutative=True),
        Op("mul", Op("pow", _X, scalar(2.0)), _X, commutative=True),
    )
    terms = []
    for cube in cubes:
        bent = Op("add", Op("mul", cube, scalar(0.044715), commutative=True), _X, commutative=True)
        line = Op("mul", bent, scalar(math.sqrt(2 / math.pi)), commutative=True)
        terms.append(Op("add", Op("tanh", line), scalar(1.0), commutative=True))
    return tuple(terms)


_RULES = (
    *activation_rules(
        "recognize-gelu", "gelu", [chain for term in _erf_terms() for chain in _halved_product(term)], GeluAttrs()
    ),
    *activation_rules(
        "recognize-gelu",
        "gelu",
        [chain for term in _tanh_terms() for chain in _halved_product(term)],
        GeluAttrs(approximate="tanh"),
    ),
)


@dataclass(frozen=True)
class RecognizeGelu(Pass):
    """x * (1 + erf(x / sqrt 2)) / 2, and its tanh form -> gelu."""

    name: ClassVar[str] = "recognize-gelu"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
