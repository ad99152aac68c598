"""simplify-power: powers with a constant exponent become products, roots and reciprocals.

Before::

    %y = pow(%x, 2.0)

After::

    %y = mul(%x, %x)

Fires when the exponent is a constant of one element and x is a float:
1. 1 leaves x itself, 2 is mul(x, x), 3 is mul(mul(x, x), x), -1 is reciprocal(x);
2. 0.5 is sqrt(x), and -0.5 is reciprocal(sqrt(x)), where x is known never to be negative.

Must not fire for other exponents, integers, or an exponent that broadcasts x. For 0.5 and an x of unknown sign it must
not either: pow(-inf, 0.5) is inf and pow(-0.0, 0.5) is 0.0, while sqrt gives NaN and -0.0.

Numerics: rounding (a cube rounds twice).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Bind, Graph, Match, Notes, Op, Patch, Rule, Value, rewrite
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import any_scalar, number_of
from cnnc.passes.value_range import is_never_negative


def _simpler(x: Value, exponent: float, patch: Patch, loc: tuple[str, ...]) -> Value | str:
    if exponent in (0.5, -0.5) and not is_never_negative(x):
        return f"%{x.name} may be negative, where a root is not the power {exponent}"
    if exponent == 1:
        return x
    if exponent == 2:
        return patch.node("mul", [x, x], loc=loc)
    if exponent == 3:
        return patch.node("mul", [patch.node("mul", [x, x], loc=loc, name=f"{x.name}.squared"), x], loc=loc)
    if exponent == -1:
        return patch.node("reciprocal", [x], loc=loc)
    if exponent == 0.5:
        return patch.node("sqrt", [x], loc=loc)
    if exponent == -0.5:
        return patch.node("reciprocal", [patch.node("sqrt", [x], loc=loc, name=f"{x.name}.root")], loc=loc)
    return f"there is nothing simpler than the power {exponent}"


def _apply(found: Match, patch: Patch) -> str | None:
    x = found["x"]
    if not x.type.dtype.is_float or x.type != found.root.output.type:
        return f"%{x.name} {x.type} is no float, or the exponent broadcasts it"
    made = _simpler(x, number_of(found["exponent"]), patch, found.loc)
    if isinstance(made, str):
        return made
    patch.replace(found.root.output, made)
    return None


_RULE = Rule("simplify-power", Op("pow", Bind("x"), any_scalar("exponent")), _apply)


@dataclass(frozen=True)
class SimplifyPower(Pass):
    """pow with a small constant exponent -> mul, sqrt, reciprocal."""

    name: ClassVar[str] = "simplify-power"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, [_RULE], notes) > 0
