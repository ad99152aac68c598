"""recognize-hard-sigmoid: a line limited to 0..1 becomes hard_sigmoid.

Before::

    %a = add(%x, 3.0)
    %c = clip(%a, 0.0, 6.0)
    %y = div(%c, 6.0)

After::

    %y = hard_sigmoid(%x) {alpha=0.16666667, beta=0.5}

Fires when
1. the chain is clip(x + 3, 0, 6) divided by 6 or multiplied by 1/6; or
2. it is clip(x * a + b, 0, 1), or clip(x / d + b, 0, 1), with constants a, b, d of one element.

Must not fire for other bounds, constants of more elements, or where the links are read elsewhere: in particular
``x * clip(x + 3, 0, 6) / 6`` multiplies before it divides, and is left to recognize-hard-swish.

Numerics: rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Bind, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.nonlinearity import HardSigmoidAttrs
from cnnc.passes.activation_chain import activation_rules
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import any_scalar, number_of, scalar

_X = Bind("x")
RELU6_OF_X_PLUS_3 = Op("clip", Op("add", _X, scalar(3.0), commutative=True), scalar(0.0), scalar(6.0))


def _apply_line(found: Match, patch: Patch) -> str | None:
    x = found["x"]
    if not x.type.dtype.is_float or x.type.shape != found.root.output.type.shape:
        return f"%{x.name} {x.type} is no float, or a constant broadcasts it"
    divides = found.node("slope").op == "div"
    slope = number_of(found["a"])
    if divides and slope == 0:
        return "it divides by zero"
    attrs = HardSigmoidAttrs(alpha=1 / slope if divides else slope, beta=number_of(found["b"]))
    patch.replace(found.root.output, patch.node("hard_sigmoid", [x], attrs, loc=found.loc))
    return None


def _line(slope: Op) -> Op:
    return Op("clip", Op("add", slope, any_scalar("b"), commutative=True), scalar(0.0), scalar(1.0))


_RULES = (
    *activation_rules(
        "recognize-hard-sigmoid",
        "hard_sigmoid",
        [
            Op("div", RELU6_OF_X_PLUS_3, scalar(6.0)),
            Op("mul", RELU6_OF_X_PLUS_3, scalar(1 / 6), commutative=True),
        ],
        HardSigmoidAttrs(alpha=1 / 6, beta=0.5),
    ),
    Rule(
        "recognize-hard-sigmoid",
        _line(Op("mul", _X, any_scalar("a"), name="slope", commutative=True)),
        _apply_line,
    ),
    Rule("recognize-hard-sigmoid", _line(Op("div", _X, any_scalar("a"), name="slope")), _apply_line),
)


@dataclass(frozen=True)
class RecognizeHardSigmoid(Pass):
    """clip(x + 3, 0, 6) / 6, and clip(a * x + b, 0, 1) -> hard_sigmoid."""

    name: ClassVar[str] = "recognize-hard-sigmoid"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
