"""recognize-clip: limits spelled by min, max and relu become one clip or relu.

Before::

    %a = max(%x, 0.0)
    %y = min(%a, 6.0)

After::

    %y = clip(%x, 0.0, 6.0)

Fires when
1. min(max(x, low), high), or max(min(x, high), low) with low <= high, the bounds constants of one element;
2. max(x, 0) alone (it becomes relu), or min or max with another constant alone (a clip with one bound);
3. a clip or min with a constant upper bound of at least 0 follows a relu: the relu becomes its lower bound.

Must not fire for min and max of more than two inputs, bounds of several elements or that broadcast x, or where the
inner limit is read elsewhere (the outer one alone still becomes a clip).

Numerics: exact; NaN passes through both forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Bind, Graph, Match, Notes, Op, Patch, Rule, Value, known_array, rewrite
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import any_scalar, number_of

_RULE = "recognize-clip"


def _limit(found: Match, patch: Patch, low: Value | None, high: Value | None) -> str | None:
    x = found["x"]
    if x.type != found.root.output.type:
        return f"a bound broadcasts %{x.name} {x.type} to {found.root.output.type}"
    if high is None and low is not None and number_of(low) == 0:
        patch.replace(found.root.output, patch.node("relu", [x], loc=found.loc))
        return None
    bounds = [_scalar(bound, patch) for bound in (low, high)]
    patch.replace(found.root.output, patch.node("clip", [x, *bounds], loc=found.loc))
    return None


def _scalar(bound: Value | None, patch: Patch) -> Value | None:
    if bound is None or bound.type.rank == 0:
        return bound
    array = known_array(bound)
    assert array is not None  # matched as a constant
    return patch.constant(array.reshape(()), bound.name)


def _min_of_max(found: Match, patch: Patch) -> str | None:
    return _limit(found, patch, found["low"], found["high"])


def _max_of_min(found: Match, patch: Patch) -> str | None:
    if number_of(found["low"]) > number_of(found["high"]):
        return "the lower bound is above the upper one, and clip would give the upper one"
    return _limit(found, patch, found["low"], found["high"])


def _max_alone(found: Match, patch: Patch) -> str | None:
    return _limit(found, patch, found["low"], None)


def _min_alone(found: Match, patch: Patch) -> str | None:
    return _limit(found, patch, None, found["high"])


def _after_relu(found: Match, patch: Patch) -> str | None:
    root = found.root
    high = root.optional(2) if root.op == "clip" else found["high"]
    low = root.optional(1) if root.op == "clip" else None
    if any(bound is not None and known_array(bound) is None for bound in (low, high)):
        return "a bound of the clip is not constant"
    if high is not None and number_of(high) < 0:
        return "the upper bound is below 0"
    if low is None or number_of(low) < 0:
        low = patch.constant(np.zeros((), found["x"].type.dtype.numpy), "zero")
    return _limit(found, patch, low, high)


_X, _LOW, _HIGH = Bind("x"), any_scalar("low"), any_scalar("high")
_RELU = Op("relu", _X)
_PAIRS = (
    Rule(_RULE, Op("min", Op("max", _X, _LOW, commutative=True), _HIGH, commutative=True), _min_of_max),
    Rule(_RULE, Op("max", Op("min", _X, _HIGH, commutative=True), _LOW, commutative=True), _max_of_min),
    Rule(_RULE, Op("min", _RELU, _HIGH, commutative=True), _after_relu),
    Rule(_RULE, Op("clip", _RELU, rest=True), _after_relu),
)
_SINGLE = (
    Rule(_RULE, Op("max", _X, _LOW, commutative=True), _max_alone),
    Rule(_RULE, Op("min", _X, _HIGH, commutative=True), _min_alone),
)


@dataclass(frozen=True)
class RecognizeClip(Pass):
    """min and max with constants, and limits behind a relu -> clip or relu."""

    name: ClassVar[str] = _RULE

    def run(self, graph: Graph, notes: Notes) -> bool:
        # Pairs first: the driver visits inner nodes before outer ones, and an inner max alone would become a clip.
        return rewrite(graph, _PAIRS, notes) + rewrite(graph, _SINGLE, notes) > 0
