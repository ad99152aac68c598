"""recognize-softplus: log(1 + exp(x)), and softplus behind a threshold, become softplus.

Before::

    %e = exp(%x)
    %s = add(%e, 1.0)
    %y = log(%s)

After::

    %y = softplus(%x)

Fires when
1. the chain is log(exp(x) + 1) in either order of the sum; or
2. it is where(x > t, x, softplus(x)) with a constant t of at least 17: above it softplus(x) - x < exp(-17), which is
   below half a float32 step of x.

Must not fire for a smaller threshold, which changes the function, or where the links are read elsewhere.

Numerics: rounding; softplus does not overflow where exp(x) does (the chain gives inf above 88 in float32).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Array, Bind, Const, Graph, Notes, Op, rewrite
from cnnc.passes.activation_chain import activation_rules
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import scalar

_X = Bind("x")
_SAFE_THRESHOLD = 17.0


def _is_high(array: Array) -> bool:
    return array.size == 1 and float(array.reshape(-1)[0]) >= _SAFE_THRESHOLD


_RULES = activation_rules(
    "recognize-softplus",
    "softplus",
    [
        Op("log", Op("add", Op("exp", _X), scalar(1.0), commutative=True)),
        Op("where", Op("greater|greater_or_equal", _X, Const(where=_is_high)), _X, Op("softplus", _X)),
    ],
)


@dataclass(frozen=True)
class RecognizeSoftplus(Pass):
    """log(1 + exp(x)) -> softplus."""

    name: ClassVar[str] = "recognize-softplus"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
