"""recognize-squared-relu: relu(x) * relu(x), or relu(x) ** 2, becomes squared_relu.

Before::

    %r = relu(%x)
    %y = mul(%r, %r)

After::

    %y = squared_relu(%x)

Fires when nobody else reads the relu. Numerics: exact for the product, and for the power, which is computed as one.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Bind, Const, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.passes import Pass, PipelineRow

_NAME = "recognize-squared-relu"
_RELU = Op("relu", Bind("x"))


def _apply(found: Match, patch: Patch) -> str | None:
    x = found["x"]
    if not x.type.dtype.is_float:
        return f"%{x.name} is {x.type.dtype.value}, not a float"
    patch.replace(found.root.output, patch.node("squared_relu", [x], loc=found.loc))
    return None


_RULES = (
    Rule(_NAME, Op("mul", _RELU, _RELU), _apply),
    Rule(_NAME, Op("pow", _RELU, Const(where=lambda power: bool(np.all(power == 2)) and power.size == 1)), _apply),
)


@dataclass(frozen=True)
class RecognizeSquaredRelu(Pass):
    """relu(x) * relu(x) -> squared_relu."""

    name: ClassVar[str] = _NAME

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0


ROW = PipelineRow(1, _NAME, before="fuse-conv-activation", why="before the relu becomes part of a convolution")
"""From -O1 on, every compilation runs the pass there."""

TIDY = f"fold-constants,eliminate-no-ops,{_NAME},eliminate-dead-code"
"""A pipeline with a name: ``cnnc opt model.onnx -p tidy-squares``."""
