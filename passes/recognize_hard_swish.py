"""recognize-hard-swish: x * clip(x + 3, 0, 6) / 6, in any order, becomes hard_swish.

Before::

    %a = add(%x, 3.0)
    %c = clip(%a, 0.0, 6.0)
    %m = mul(%x, %c)
    %y = div(%m, 6.0)

After::

    %y = hard_swish(%x)

Fires when
1. x is multiplied by hard_sigmoid(x) with alpha 1/6 and beta 1/2 (recognize-hard-sigmoid runs first, so that
   x * (clip(x + 3, 0, 6) / 6) has this form); or
2. x * clip(x + 3, 0, 6) is divided by 6 or multiplied by 1/6; or
3. x / 6 or x * 1/6 is multiplied by clip(x + 3, 0, 6).

Must not fire for other slopes, for a gate computed from another value, or where the links are read elsewhere.

Numerics: rounding. Source: Howard et al., "Searching for MobileNetV3" (2019); ONNX HardSwish.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnc.ir import Attrs, Bind, Graph, Notes, Op, rewrite
from cnnc.passes.activation_chain import activation_rules
from cnnc.passes.base import Pass
from cnnc.passes.recognize_hard_sigmoid import RELU6_OF_X_PLUS_3
from cnnc.passes.scalar_constant import scalar

_X = Bind("x")


def _is_sixth(attrs: Attrs) -> bool:
    line: Any = attrs
    return math.isclose(line.alpha, 1 / 6, rel_tol=1e-6) and line.beta == 0.5


_GATED = Op("mul", RELU6_OF_X_PLUS_3, _X, commutative=True)
_RULES = activation_rules(
    "recognize-hard-swish",
    "hard_swish",
    [
        Op("mul", Op("hard_sigmoid", _X, where=_is_sixth), _X, commutative=True),
        Op("div", _GATED, scalar(6.0)),
        Op("mul", _GATED, scalar(1 / 6), commutative=True),
        Op("mul", RELU6_OF_X_PLUS_3, Op("div", _X, scalar(6.0)), commutative=True),
        Op("mul", RELU6_OF_X_PLUS_3, Op("mul", _X, scalar(1 / 6), commutative=True), commutative=True),
    ],
)


@dataclass(frozen=True)
class RecognizeHardSwish(Pass):
    """x * hard_sigmoid(x), and x * clip(x + 3, 0, 6) / 6 -> hard_swish."""

    name: ClassVar[str] = "recognize-hard-swish"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
