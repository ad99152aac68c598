"""recognize-silu, -mish, -softplus, -hard-sigmoid, -hard-swish, -gelu and -clip."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from cnnc.ir import Value
from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass

Chain = Callable[[Sketch, Value], Value]


def _mul(s: Sketch, a: Value, b: Value | float) -> Value:
    return s.op("mul", a, b if isinstance(b, Value) else s.const(b))


def _add(s: Sketch, a: Value, b: Value | float) -> Value:
    return s.op("add", a, b if isinstance(b, Value) else s.const(b))


def _div(s: Sketch, a: Value, b: Value | float) -> Value:
    return s.op("div", a, b if isinstance(b, Value) else s.const(b))


def _clip(s: Sketch, a: Value, low: float, high: float) -> Value:
    return s.op("clip", a, s.const(low), s.const(high))


def _gate(s: Sketch, x: Value) -> Value:
    return _clip(s, _add(s, x, 3.0), 0.0, 6.0)


def _erf_term(s: Sketch, x: Value) -> Value:
    return _add(s, s.op("erf", _div(s, x, math.sqrt(2))), 1.0)


def _erf_term_by_product(s: Sketch, x: Value) -> Value:
    return _add(s, s.op("erf", _mul(s, x, math.sqrt(0.5))), 1.0)


def _tanh_term(s: Sketch, x: Value, cube: Value) -> Value:
    line = _mul(s, _add(s, x, _mul(s, cube, 0.044715)), math.sqrt(2 / math.pi))
    return _add(s, s.op("tanh", line), 1.0)


def _cube(s: Sketch, x: Value) -> Value:
    return _mul(s, _mul(s, x, x), x)


def _log_form(s: Sketch, x: Value) -> Value:
    return s.op("log", _add(s, s.op("exp", x), 1.0))


def _above(s: Sketch, x: Value, threshold: float) -> Value:
    return s.op("where", s.op("greater", x, s.const(threshold)), x, s.op("softplus", x))


CHAINS: list[tuple[str, str, Chain]] = [
    ("recognize-silu", "swish", lambda s, x: _mul(s, x, s.op("sigmoid", x))),
    ("recognize-silu", "swish", lambda s, x: _mul(s, s.op("sigmoid", x), x)),
    ("recognize-mish", "mish", lambda s, x: _mul(s, x, s.op("tanh", s.op("softplus", x)))),
    ("recognize-softplus,recognize-mish", "mish", lambda s, x: _mul(s, s.op("tanh", _log_form(s, x)), x)),
    ("recognize-softplus", "softplus", _log_form),
    ("recognize-softplus", "softplus", lambda s, x: s.op("log", s.op("add", s.const(1.0), s.op("exp", x)))),
    ("recognize-softplus", "softplus", lambda s, x: _above(s, x, 20.0)),
    ("recognize-hard-sigmoid", "hard_sigmoid", lambda s, x: _div(s, _gate(s, x), 6.0)),
    ("recognize-hard-sigmoid", "hard_sigmoid", lambda s, x: _mul(s, _gate(s, x), 1 / 6)),
    ("recognize-hard-sigmoid", "hard_sigmoid", lambda s, x: _clip(s, _add(s, _mul(s, x, 0.2), 0.4), 0.0, 1.0)),
    ("recognize-hard-sigmoid", "hard_sigmoid", lambda s, x: _clip(s, _add(s, _div(s, x, 5.0), 0.4), 0.0, 1.0)),
    ("recognize-hard-swish", "hard_swish", lambda s, x: _mul(s, x, s.op("hard_sigmoid", x, alpha=1 / 6, beta=0.5))),
    ("recognize-hard-swish", "hard_swish", lambda s, x: _div(s, _mul(s, x, _gate(s, x)), 6.0)),
    ("recognize-hard-swish", "hard_swish", lambda s, x: _mul(s, _mul(s, _gate(s, x), x), 1 / 6)),
    ("recognize-hard-swish", "hard_swish", lambda s, x: _mul(s, _div(s, x, 6.0), _gate(s, x))),
    ("recognize-hard-swish", "hard_swish", lambda s, x: _mul(s, _gate(s, x), _mul(s, x, 1 / 6))),
    ("recognize-hard-sigmoid,recognize-hard-swish", "hard_swish", lambda s, x: _mul(s, x, _div(s, _gate(s, x), 6.0))),
    ("recognize-gelu", "gelu", lambda s, x: _mul(s, _mul(s, x, _erf_term(s, x)), 0.5)),
    ("recognize-gelu", "gelu", lambda s, x: _mul(s, _mul(s, x, 0.5), _erf_term(s, x))),
    ("recognize-gelu", "gelu", lambda s, x: _mul(s, x, _mul(s, _erf_term_by_product(s, x), 0.5))),
    ("recognize-gelu", "gelu", lambda s, x: _mul(s, _mul(s, x, 0.5), _tanh_term(s, x, _cube(s, x)))),
    ("recognize-gelu", "gelu", lambda s, x: _mul(s, x, _mul(s, _tanh_term(s, x, s.op("pow", x, s.const(3.0))), 0.5))),
    ("recognize-gelu", "gelu", lambda s, x: _mul(s, _mul(s, x, _tanh_term(s, x, _cube(s, x))), 0.5)),
    ("recognize-clip", "relu", lambda s, x: s.op("max", x, s.const(0.0))),
    ("recognize-clip", "clip", lambda s, x: s.op("min", s.op("max", x, s.const([0.0])), s.const(6.0))),
    ("recognize-clip", "clip", lambda s, x: s.op("max", s.const(-1.0), s.op("min", x, s.const(0.5)))),
    ("recognize-clip", "clip", lambda s, x: s.op("min", s.const(0.5), x)),
    ("recognize-clip", "clip", lambda s, x: s.op("min", s.op("relu", x), s.const(6.0))),
    ("recognize-clip", "clip", lambda s, x: _clip(s, s.op("relu", x), -1.0, 0.5)),
    ("recognize-clip", "clip", lambda s, x: _clip(s, s.op("relu", x), 0.25, 0.5)),
]  # fmt: skip


@pytest.mark.parametrize(("passes", "op", "chain"), CHAINS)
def test_recognizes(passes: str, op: str, chain: Chain) -> None:
    s = Sketch()
    outcome = run_pass(s.returns(chain(s, s.input("N", 3, 4, 5))), passes)
    assert outcome.ops == (op,)


def test_gelu_by_tanh_is_the_tanh_approximation() -> None:
    s = Sketch()
    x = s.input("N", 3)
    outcome = run_pass(s.returns(_mul(s, _mul(s, x, 0.5), _tanh_term(s, x, _cube(s, x)))), "recognize-gelu")
    attrs: Any = next(iter(outcome.graph.nodes)).attrs
    assert attrs.approximate == "tanh"


UNLIKE: list[tuple[str, Chain]] = [
    ("recognize-silu", lambda s, x: _mul(s, s.input("N", 3, 4, 5, name="z"), s.op("sigmoid", x))),
    ("recognize-mish", lambda s, x: _mul(s, s.input("N", 3, 4, 5, name="z"), s.op("tanh", s.op("softplus", x)))),
    ("recognize-softplus", lambda s, x: s.op("log", _add(s, s.op("exp", x), 2.0))),
    ("recognize-softplus", lambda s, x: _above(s, x, 5.0)),
    ("recognize-hard-sigmoid", lambda s, x: _div(s, _clip(s, _add(s, x, 3.0), 0.0, 5.0), 6.0)),
    ("recognize-hard-sigmoid", lambda s, x: _div(s, _gate(s, x), 5.0)),
    ("recognize-hard-swish", lambda s, x: _div(s, _mul(s, x, _gate(s, x)), 3.0)),
    ("recognize-hard-swish", lambda s, x: _mul(s, x, s.op("hard_sigmoid", x, alpha=0.2, beta=0.5))),
    ("recognize-gelu", lambda s, x: _mul(s, _mul(s, x, _erf_term(s, x)), 0.25)),
    ("recognize-gelu", lambda s, x: _mul(s, _mul(s, x, _tanh_term(s, x, _mul(s, x, x))), 0.5)),
    ("recognize-clip", lambda s, x: s.op("min", x, s.positive(3, 1, 1))),
    ("recognize-clip", lambda s, x: s.op("max", x, s.const(0.0), s.const(1.0))),
]


@pytest.mark.parametrize(("passes", "chain"), UNLIKE)
def test_leaves_what_is_only_alike(passes: str, chain: Chain) -> None:
    s = Sketch()
    assert not run_pass(s.returns(chain(s, s.input("N", 3, 4, 5))), passes).changed


def _link(root: Value) -> Value:
    """A float between the nodes of the chain."""
    assert root.producer is not None
    inputs = [value for value in root.producer.inputs if value is not None and value.type.dtype.is_float]
    return next(value for value in inputs if value.producer is not None)


GUARDED = [case for case in CHAINS if "," not in case[0] and case[0] != "recognize-clip"]


@pytest.mark.parametrize(("passes", "op", "chain"), GUARDED)
def test_refuses_where_a_link_is_read_elsewhere(passes: str, op: str, chain: Chain) -> None:
    s = Sketch()
    x = s.input("N", 3, 4, 5)
    y = chain(s, x)
    inner = _link(y)
    assert run_pass(s.returns(y, s.op("neg", inner)), passes).refused("also read by neg")


@pytest.mark.parametrize(("passes", "op", "chain"), GUARDED)
def test_refuses_where_a_link_is_returned(passes: str, op: str, chain: Chain) -> None:
    s = Sketch()
    y = chain(s, s.input("N", 3, 4, 5))
    inner = _link(y)
    assert run_pass(s.returns(y, inner), passes).refused("graph output")


def test_clip_refuses_bounds_in_the_wrong_order() -> None:
    s = Sketch()
    y = s.op("max", s.op("min", s.input(4), s.const(0.0)), s.const(1.0))
    outcome = run_pass(s.returns(y), "recognize-clip")
    assert outcome.ops == ("clip", "clip")
    assert any("above the upper one" in reason for reason in outcome.reasons)


def test_clip_of_integers() -> None:
    s = Sketch()
    y = s.op("min", s.op("max", s.input(4, dtype=DType.I64), s.ints(1)), s.ints(5))
    assert run_pass(s.returns(y), "recognize-clip").ops == ("clip",)


def test_a_constant_of_higher_rank_is_no_bound() -> None:
    s = Sketch()
    y = s.op("max", s.input(4), s.const([[0.0]]))
    assert run_pass(s.returns(y), "recognize-clip").refused("broadcasts")


def test_a_constant_that_broadcasts_is_no_activation() -> None:
    s = Sketch()
    x = s.input(4)
    y = _mul(s, _mul(s, x, _erf_term(s, x)), s.const([[0.5]]))
    assert run_pass(s.returns(y), "recognize-gelu").refused("broadcasts")
