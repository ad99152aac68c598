"""recognize-silu: x * sigmoid(x) becomes swish.

Before::

    %s = sigmoid(%x)
    %y = mul(%x, %s)

After::

    %y = swish(%x) {alpha=1.0}

Fires when the sigmoid of x is multiplied by the same x, in either order, and nobody else reads the sigmoid.

Must not fire for ``x * sigmoid(z)`` (a squeeze-and-excitation gate), or where the sigmoid is needed elsewhere.

Numerics: rounding. Source: Elfwing et al., "Sigmoid-weighted linear units" (2017); ONNX Swish.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Bind, Graph, Notes, Op, rewrite
from cnnc.ops.nonlinearity import AlphaAttrs
from cnnc.passes.activation_chain import activation_rules
from cnnc.passes.base import Pass

_X = Bind("x")
_RULES = activation_rules(
    "recognize-silu", "swish", [Op("mul", Op("sigmoid", _X), _X, commutative=True)], AlphaAttrs(alpha=1.0)
)


@dataclass(frozen=True)
class RecognizeSilu(Pass):
    """x * sigmoid(x) -> swish."""

    name: ClassVar[str] = "recognize-silu"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
