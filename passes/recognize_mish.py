"""recognize-mish: x * tanh(softplus(x)) becomes mish.

Before::

    %s = softplus(%x)
    %t = tanh(%s)
    %y = mul(%x, %t)

After::

    %y = mish(%x)

Fires when softplus and mul read the same x, in either order of the product, and nobody else reads what lies between.
recognize-softplus runs first, so that log(1 + exp(x)) counts as softplus.

Numerics: rounding. Source: Misra, "Mish: a self regularized non-monotonic activation function" (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Bind, Graph, Notes, Op, rewrite
from cnnc.passes.activation_chain import activation_rules
from cnnc.passes.base import Pass

_X = Bind("x")
_RULES = activation_rules("recognize-mish", "mish", [Op("mul", Op("tanh", Op("softplus", _X)), _X, commutative=True)])


@dataclass(frozen=True)
class RecognizeMish(Pass):
    """x * tanh(softplus(x)) -> mish."""

    name: ClassVar[str] = "recognize-mish"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
