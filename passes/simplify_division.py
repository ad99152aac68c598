"""simplify-division: a division by a constant becomes a multiplication, and a divided 1 a reciprocal.

Before::

    %y = div(%x, 8.0)
    %z = div(1.0, %x)

After::

    %y = mul(%x, 0.125)
    %z = reciprocal(%x)

Fires when
1. the divisor is a float constant whose elements all have a normal, finite reciprocal: with powers of two the result
   has the same bits, otherwise it may differ by one rounding, and ``exact_only`` forbids that; or
2. the dividend is a float constant of one element that is 1, and does not broadcast the divisor.

Must not fire for integers, for a divisor that holds 0, infinity, NaN, or a number whose reciprocal is subnormal.

Numerics: rounding. The reciprocal is computed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Array, Bind, Const, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import scalar
from cnnc.types import DType


def _is_power_of_two(array: Array) -> bool:
    mantissa, _ = np.frexp(np.abs(array.astype(np.float64)))
    return bool((mantissa == 0.5).all())


def _apply_reciprocal(found: Match, patch: Patch) -> str | None:
    x = found["x"]
    if not x.type.dtype.is_float or x.type != found.root.output.type:
        return f"%{x.name} {x.type} is no float, or the 1 broadcasts it"
    patch.replace(found.root.output, patch.node("reciprocal", [x], loc=found.loc))
    return None


@dataclass(frozen=True)
class SimplifyDivision(Pass):
    """Division by a constant -> multiplication by its reciprocal."""

    name: ClassVar[str] = "simplify-division"
    numerics: ClassVar[str] = "rounding"
    exact_only: bool = False

    def run(self, graph: Graph, notes: Notes) -> bool:
        rules = [
            Rule(self.name, Op("div", Bind("x"), Const("divisor")), self._apply),
            Rule(self.name, Op("div", scalar(1.0), Bind("x")), _apply_reciprocal),
        ]
        return rewrite(graph, rules, notes) > 0

    def _apply(self, found: Match, patch: Patch) -> str | None:
        x, divisor = found["x"], found.array("divisor")
        dtype = x.type.dtype
        if dtype not in (DType.F32, DType.F64):
            return f"%{x.name} is {dtype.value}, not f32 or f64"
        with np.errstate(all="ignore"):
            reciprocal = (1 / divisor.astype(np.float64)).astype(dtype.numpy)
        if not np.isfinite(reciprocal).all() or (np.abs(reciprocal) < np.finfo(dtype.numpy).tiny).any():
            return "a reciprocal of the divisor is not a normal number"
        if self.exact_only and not _is_power_of_two(divisor):
            return "the divisor is no power of two, and only exact rewrites are wanted"
        factor = patch.constant(reciprocal, found["divisor"].name)
        patch.replace(found.root.output, patch.node("mul", [x, factor], loc=found.loc))
        return None
