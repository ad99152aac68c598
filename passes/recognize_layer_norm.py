"""recognize-layer-norm: mean, centre, variance, divide, scale and shift over the last axes become layer_normalization.

Before::

    %m = reduce_mean(%x, [-1])
    %d = sub(%x, %m)
    %s = mul(%d, %d)                     or pow(%d, 2.0)
    %v = reduce_mean(%s, [-1])
    %e = add(%v, 1e-05)
    %r = sqrt(%e)
    %n = div(%d, %r)
    %g = mul(%n, %gamma)
    %y = add(%g, %beta)

After::

    %y = layer_normalization(%x, %gamma, %beta) {axis=-1, epsilon=1e-05}

Fires when
1. both means are over the same last axes, with keepdims=1, of the same x in f32;
2. gamma and beta are constants over these axes; without them gamma is made of ones;
3. nobody else reads any link of the chain.

Must not fire when the axes are not the last ones (a norm over channels of NCHW), or gamma broadcasts x.

Numerics: rounding. Source: Ba et al., "Layer normalization" (2016); ONNX LayerNormalization.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnnc.ir import Array, Attrs, Bind, Const, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.normalization import LayerNormalizationAttrs
from cnnc.passes.base import Pass
from cnnc.passes.scalar_constant import any_scalar, number_of, scalar
from cnnc.types import DType


def _keeps_axes(attrs: Attrs) -> bool:
    reduce: Any = attrs
    return bool(reduce.keepdims)


def _normalized(square: Op) -> Op:
    return Op(
        "div",
        _CENTRED,
        Op("sqrt", Op("add", _mean_of(square, "variance_axes"), any_scalar("epsilon"), commutative=True)),
    )


def _mean_of(of: Op | Bind, axes: str) -> Op:
    return Op("reduce_mean", of, Const(axes), where=_keeps_axes)


_X = Bind("x")
_CENTRED = Op("sub", _X, _mean_of(_X, "axes"), name="centred")
_SQUARES = (Op("mul", _CENTRED, _CENTRED), Op("pow", _CENTRED, scalar(2.0)))


def _apply(found: Match, patch: Patch) -> str | None:
    x = found["x"]
    rank = x.type.rank
    if x.type.dtype is not DType.F32:
        return f"%{x.name} is {x.type.dtype.value}, not f32"
    axes, variance_axes = (_axes(found.array(name), rank) for name in ("axes", "variance_axes"))
    if axes != variance_axes:
        return f"the mean is over axes {axes}, the variance over {variance_axes}"
    if not axes or axes != list(range(axes[0], rank)):
        return f"the mean is over axes {axes}, which are not the last of {x.type}"
    if x.type.shape != found.root.output.type.shape:
        return f"a constant of the chain broadcasts %{x.name} {x.type} to {found.root.output.type}"
    gamma, beta = found.values.get("gamma"), found.values.get("beta")
    for value in (gamma, beta):
        if value is not None and value.type.rank > len(axes):
            return f"%{value.name} {value.type} varies along other axes than {axes}"
    if gamma is None:
        sizes = x.type.shape[axes[0] :]
        known = [size for size in sizes if isinstance(size, int)]
        if len(known) < len(sizes):
            return f"the normalized axes of {x.type} have no known size to make a scale of ones"
        gamma = patch.constant(np.ones(known, np.float32), "ones")
    attrs = LayerNormalizationAttrs(axis=axes[0] - rank, epsilon=number_of(found["epsilon"]))
    patch.replace(found.root.output, patch.node("layer_normalization", [x, gamma, beta], attrs, loc=found.loc))
    return None


def _axes(array: Array, rank: int) -> list[int]:
    return sorted(int(axis) % rank for axis in array.reshape(-1).tolist())


def _rules(wrap: Callable[[Op], Op]) -> tuple[Rule, ...]:
    return tuple(Rule("recognize-layer-norm", wrap(_normalized(square)), _apply) for square in _SQUARES)


def _scaled(normal: Op) -> Op:
    return Op("mul", normal, Const("gamma"), commutative=True)


_FORMS = (
    _rules(lambda normal: Op("add", _scaled(normal), Const("beta"), commutative=True)),
    _rules(_scaled),
    _rules(lambda normal: normal),
)
"""The longest first: the driver visits inner nodes before outer ones."""


@dataclass(frozen=True)
class RecognizeLayerNorm(Pass):
    """Spelled-out normalization over the last axes -> layer_normalization."""

    name: ClassVar[str] = "recognize-layer-norm"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return sum(rewrite(graph, rules, notes) for rules in _FORMS) > 0
