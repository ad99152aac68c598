"""fold-batch-norm and fold-scale-into-conv on layers of random shape."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.ir import Value
from tests.passes.sketch import Sketch, run_pass


@st.composite
def layers(draw: st.DrawFn) -> tuple[str, int, int, int, dict[str, Any]]:
    """Op, spatial rank, channels a group in and out, and attributes with odd kernels, strides, pads and dilations."""
    op = draw(st.sampled_from(["conv", "conv_transpose"]))
    rank = draw(st.integers(1, 3))
    per_axis = {
        "strides": draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank)),
        "dilations": draw(st.lists(st.integers(1, 2), min_size=rank, max_size=rank)),
        "pads": draw(st.lists(st.integers(0, 1), min_size=2 * rank, max_size=2 * rank)),
        "kernel_shape": draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank)),
    }
    attrs: dict[str, Any] = {name: tuple(values) for name, values in per_axis.items()}
    attrs["group"] = draw(st.integers(1, 3))
    return op, rank, draw(st.integers(1, 3)), draw(st.integers(1, 3)), attrs


def _layer(s: Sketch, x: Value, layer: tuple[str, int, int, int, dict[str, Any]]) -> Value:
    op, _, c_in, c_out, attrs = layer
    group = attrs["group"]
    shape = (c_out * group, c_in) if op == "conv" else (c_in * group, c_out)
    return s.op(op, x, s.normal(*shape, *attrs["kernel_shape"]), **attrs)


@given(layers(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_everything_behind_a_layer_folds(layer: tuple[str, int, int, int, dict[str, Any]], divide: bool) -> None:
    s = Sketch()
    y = _layer(s, s.input("N", layer[2] * layer[4]["group"], *(7,) * layer[1]), layer)
    y = s.op("div" if divide else "sub", s.batch_norm(y), s.positive(y.type.shape[1], *(1,) * layer[1]))  # type: ignore[arg-type]
    assert run_pass(s.returns(y), "fold-batch-norm,fold-scale-into-conv").ops == (layer[0],)


@given(layers())
@settings(max_examples=40, deadline=None)
def test_a_scale_before_any_layer_folds(layer: tuple[str, int, int, int, dict[str, Any]]) -> None:
    s = Sketch()
    channels = layer[2] * layer[4]["group"]
    x = s.input("N", channels, *(7,) * layer[1])
    y = _layer(s, s.op("mul", x, s.normal(channels, *(1,) * layer[1])), layer)
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == (layer[0],)


@given(layers())
@settings(max_examples=40, deadline=None)
def test_a_batch_norm_before_a_layer_folds_only_without_padding(
    layer: tuple[str, int, int, int, dict[str, Any]],
) -> None:
    s = Sketch()
    op, rank, c_in, _, attrs = layer
    y = _layer(s, s.batch_norm(s.input("N", c_in * attrs["group"], *(7,) * rank)), layer)
    folds = op == "conv" and not any(attrs["pads"])
    assert run_pass(s.returns(y), "fold-batch-norm").changed == folds


def test_weights_shared_by_two_layers_are_folded_for_each() -> None:
    s = Sketch()
    x, w = s.input("N", 2, 9, 9), s.normal(2, 2, 3, 3)
    first = s.batch_norm(s.op("conv", x, w, name="a"), "bn0")
    second = s.batch_norm(s.op("conv", first, w, name="b"), "bn1")
    third = s.op("conv", second, w, name="c")
    outcome = run_pass(s.returns(s.op("neg", third), first), "fold-batch-norm")
    assert outcome.ops == ("conv", "conv", "conv", "neg")
    assert len({node.input(1) for node in outcome.graph.nodes if node.op == "conv"}) == 3
