"""Receptive fields are right: an output element in the middle reacts to exactly that many input elements."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from cnnc import interp
from cnnc.cli.receptive_field import Field, receptive_fields
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, tensor_input

LENGTH = 257
"""More than the largest field: four windows of 4 elements, 2 apart, behind strides of 3."""

layers = st.lists(
    st.tuples(
        st.sampled_from(["conv", "max_pool", "average_pool", "relu", "up"]),
        st.integers(1, 4),
        st.integers(1, 3),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=4,
)


@given(layers)
@settings(max_examples=25, deadline=None)
def test_influence_equals_field(chain: list[tuple[str, int, int, int]]) -> None:
    """All weights are positive, so one-hot inputs show which elements reach an output."""
    nodes, weights, name = [], {}, "x"
    for index, (kind, kernel, stride, dilation) in enumerate(chain):
        out = f"t{index}"
        if kind == "conv":
            weights[f"w{index}"] = np.ones((1, 1, kernel), np.float32)
            window = {"strides": [stride], "dilations": [dilation]}
            nodes.append(helper.make_node("Conv", [name, f"w{index}"], [out], **window))
        elif kind == "up":
            weights[f"w{index}"] = np.ones((1, 1, stride), np.float32)
            nodes.append(helper.make_node("ConvTranspose", [name, f"w{index}"], [out], strides=[stride]))
        elif kind == "relu":
            nodes.append(helper.make_node("Relu", [name], [out]))
        else:
            op = "MaxPool" if kind == "max_pool" else "AveragePool"
            nodes.append(helper.make_node(op, [name], [out], kernel_shape=[kernel], strides=[stride]))
        name = out
    graph = import_onnx(build(nodes, [tensor_input("x", (LENGTH, 1, LENGTH))], [name], weights=weights))
    field = receptive_fields(graph)[graph.outputs[0]]
    assert isinstance(field, Field)
    reached = interp.run(graph, {"x": np.eye(LENGTH, dtype=np.float32)[:, None]})[name] != 0
    influence = reached[:, 0].sum(axis=0)
    # A stride above the window leaves gaps, which the extent spans.
    positions = np.flatnonzero(reached[:, 0, influence.size // 2])
    extent = int(positions[-1] - positions[0] + 1)
    if all(kind != "up" for kind, *_ in chain):
        assert extent == int(str(field))
    else:
        # Which taps of a transposed convolution meet an element depends on where it lies; the field is the most.
        assert extent <= int(str(field)) <= extent + 2 * max(map(float, (1, *field.step))) * len(chain)


def test_residual_takes_the_larger_branch() -> None:
    weights = {"w": np.ones((1, 1, 3, 5), np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 2, 1, 2]),
        helper.make_node("Add", ["a", "x"], ["y"]),
    ]
    graph = import_onnx(build(nodes, [tensor_input("x", (1, 1, 8, 8))], ["y"], weights=weights))
    assert str(receptive_fields(graph)[graph.outputs[0]]) == "3x5"


def test_behind_a_global_pool_everything_counts() -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    graph = import_onnx(build(nodes, [tensor_input("x", (1, 2, 8, 8))], ["y"]))
    assert receptive_fields(graph)[graph.outputs[0]] == "all"
