"""fuse-conv-activation."""

from __future__ import annotations

from typing import Any

import pytest

from cnnc.ir import Value
from tests.passes.sketch import Outcome, Sketch, run_pass

ACTIVATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("relu", {}, "relu"),
    ("sigmoid", {}, "sigmoid"),
    ("tanh", {}, "tanh"),
    ("hard_swish", {}, "hard_swish"),
    ("mish", {}, "mish"),
    ("softplus", {}, "softplus"),
    ("leaky_relu", {"alpha": 0.1}, "leaky_relu"),
    ("elu", {"alpha": 0.7}, "elu"),
    ("selu", {}, "selu"),
    ("hard_sigmoid", {"alpha": 0.3, "beta": 0.4}, "hard_sigmoid"),
    ("swish", {"alpha": 1.0}, "silu"),
    ("gelu", {}, "gelu"),
    ("gelu", {"approximate": "tanh"}, "gelu_tanh"),
]


def _conv(s: Sketch) -> Value:
    return s.op("conv", s.input("N", 3, 6, 5), s.normal(4, 3, 3, 3), s.normal(4))


def _kind(outcome: Outcome) -> str:
    attrs: Any = next(iter(outcome.graph.nodes)).attrs
    kind: str = attrs.activation.kind
    return kind


@pytest.mark.parametrize(("op", "attrs", "kind"), ACTIVATIONS)
def test_conv_takes_every_activation(op: str, attrs: dict[str, Any], kind: str) -> None:
    s = Sketch()
    outcome = run_pass(s.returns(s.op(op, _conv(s), **attrs)), "fuse-conv-activation")
    assert outcome.ops == ("conv",)
    assert _kind(outcome) == kind


@pytest.mark.parametrize("layer", ["conv_transpose", "gemm", "scale_shift"])
def test_other_layers_take_activations(layer: str) -> None:
    s = Sketch()
    if layer == "gemm":
        y = s.op("gemm", s.input("N", 3), s.normal(3, 5))
    elif layer == "scale_shift":
        y = s.op("scale_shift", s.input("N", 3, 4), s.normal(3), s.normal(3))
    else:
        y = s.op(layer, s.input("N", 3, 4, 4), s.normal(3, 2, 2, 2))
    assert run_pass(s.returns(s.op("tanh", y)), "fuse-conv-activation").ops == (layer,)


@pytest.mark.parametrize(
    ("low", "high", "kind"), [(0.0, 6.0, "clip"), (0.0, None, "relu"), (None, 1.0, "clip"), (-1.0, None, "clip")]
)
def test_clip_bounds(low: float | None, high: float | None, kind: str) -> None:
    s = Sketch()
    bounds = [None if bound is None else s.const(bound) for bound in (low, high)]
    outcome = run_pass(s.returns(s.op("clip", _conv(s), *bounds)), "fuse-conv-activation")
    assert outcome.ops == ("conv",)
    assert _kind(outcome) == kind


def test_clip_with_computed_bounds_stays() -> None:
    s = Sketch()
    y = s.op("clip", _conv(s), s.input(name="low"))
    assert run_pass(s.returns(y), "fuse-conv-activation").refused("not constant")


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,), (1, 1, 1)])
def test_prelu_slopes(shape: tuple[int, ...]) -> None:
    s = Sketch()
    outcome = run_pass(s.returns(s.op("prelu", _conv(s), s.positive(*shape))), "fuse-conv-activation")
    assert outcome.ops == ("conv",)
    assert _kind(outcome) == "prelu"


def test_prelu_slopes_through_an_unsqueezed_constant() -> None:
    s = Sketch()
    slopes = s.op("unsqueeze", s.positive(4), s.ints(1, 2))
    assert run_pass(s.returns(s.op("prelu", _conv(s), slopes)), "fuse-conv-activation").count("prelu") == 0


def test_prelu_slopes_along_another_axis_or_for_another_layer_stay() -> None:
    s = Sketch()
    y = s.op("conv", s.input(1, 3, 6, 6), s.normal(4, 3, 3, 3))
    assert run_pass(s.returns(s.op("prelu", y, s.positive(4))), "fuse-conv-activation").refused("not one a channel")
    s = Sketch()
    y = s.op("gemm", s.input(2, 3), s.normal(3, 5))
    assert run_pass(s.returns(s.op("prelu", y, s.positive(5))), "fuse-conv-activation").refused("takes no slopes")


def test_other_parameters_stay() -> None:
    s = Sketch()
    assert run_pass(s.returns(s.op("swish", _conv(s), alpha=1.5)), "fuse-conv-activation").refused("alpha 1.5")
    s = Sketch()
    assert run_pass(s.returns(s.op("selu", _conv(s), alpha=1.5)), "fuse-conv-activation").refused("alpha 1.5")


def test_only_the_first_of_two_activations_fuses() -> None:
    s = Sketch()
    outcome = run_pass(s.returns(s.op("tanh", s.op("relu", _conv(s)))), "fuse-conv-activation")
    assert outcome.ops == ("conv", "tanh")
    assert "already applies relu" in outcome.reasons[0]


def test_refuses_a_conv_that_is_read_elsewhere_or_returned() -> None:
    s = Sketch()
    y = _conv(s)
    assert run_pass(s.returns(s.op("relu", y), s.op("tanh", y)), "fuse-conv-activation").refused("also read by")
    s = Sketch()
    y = _conv(s)
    assert run_pass(s.returns(s.op("relu", y), y), "fuse-conv-activation").refused("graph output")


def test_moves_before_the_reshape_behind_a_gemm() -> None:
    s = Sketch()
    y = s.op("reshape", s.op("gemm", s.input("N", 3), s.normal(3, 8)), s.ints(-1, 2, 4))
    outcome = run_pass(s.returns(s.op("gelu", y)), "fuse-conv-activation")
    assert outcome.ops == ("gemm", "reshape")
    assert _kind(outcome) == "gelu"
