"""Ops that only the IR has are written as the ONNX operators that they stand for, and mean the same."""

from __future__ import annotations

import onnx
import pytest

from cnnc.ops.activation import KINDS, Activation
from cnnc.ops.elementwise_chain import ChainStep
from cnnc.types import DType
from tests.export.judged import check_results
from tests.passes.sketch import Sketch

PARAMETERS = {"clip": (-0.5, 0.75), "leaky_relu": (0.1, 0.0), "hard_sigmoid": (0.3, 0.4), "elu": (0.7, 0.0)}


def activation(kind: str) -> Activation:
    return Activation(kind, *PARAMETERS.get(kind, (0.0, 0.0)))


def op_types(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("kind", KINDS)
def test_conv_with_every_activation(kind: str) -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 5)
    slopes = sketch.normal(4) if kind == "prelu" else None
    y = sketch.op("conv", x, sketch.normal(4, 3, 3, 3), sketch.normal(4), None, slopes, activation=activation(kind))
    model = check_results(sketch.returns(y).graph)
    assert op_types(model)[0] == "Conv"
    assert model.graph.node[0].name == "conv"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "prelu"])
@pytest.mark.parametrize("op", ["gemm", "conv_transpose", "scale_shift"])
def test_other_layers_with_every_activation(op: str, kind: str) -> None:
    sketch = Sketch()
    fused = activation(kind)
    match op:
        case "gemm":
            x = sketch.input("N", 7)
            y = sketch.op("gemm", x, sketch.normal(5, 7), sketch.normal(5), transB=1, alpha=0.5, activation=fused)
        case "conv_transpose":
            x = sketch.input("N", 4, 3, 5)
            w, b = sketch.normal(4, 3, 2, 2), sketch.normal(6)
            y = sketch.op("conv_transpose", x, w, b, strides=(2, 2), group=2, activation=fused)
        case _:
            x = sketch.input("N", 4, 3, "W")
            y = sketch.op("scale_shift", x, sketch.normal(4), sketch.normal(4), activation=fused)
    check_results(sketch.returns(y).graph)


def test_conv_with_residual_bias_and_activation() -> None:
    sketch = Sketch()
    x = sketch.input("N", 4, 5, 5)
    w, b = sketch.normal(4, 4, 3, 3), sketch.normal(4)
    y = sketch.op("conv", x, w, b, x, pads=(1, 1, 1, 1), activation=Activation("relu"))
    assert op_types(check_results(sketch.returns(y).graph)) == ["Conv", "Add", "Relu"]


def test_conv_with_prologue() -> None:
    """The padding of the convolution stays 0: it is added behind the prologue."""
    sketch = Sketch()
    x = sketch.input("N", 4, 5, 5)
    scale, shift = sketch.normal(4), sketch.normal(4)
    w = sketch.normal(6, 4, 3, 3)
    y = sketch.op(
        "conv", x, w, None, None, None, scale, shift, pads=(1, 1, 1, 1), prologue=Activation("relu"), name="c"
    )
    assert op_types(check_results(sketch.returns(y).graph)) == ["Mul", "Add", "Relu", "Conv"]


def test_conv_with_gate() -> None:
    sketch = Sketch()
    x = sketch.input("N", 4, 5, 5)
    gate = sketch.op("sigmoid", sketch.op("global_average_pool", x))
    y = sketch.op("conv", x, sketch.normal(6, 4, 1, 1), None, None, None, None, None, gate)
    assert op_types(check_results(sketch.returns(y).graph))[-2:] == ["Mul", "Conv"]


def test_prelu_slopes_that_are_computed() -> None:
    sketch = Sketch()
    x, slopes = sketch.input("N", 3, 4, 4), sketch.input(4, name="slopes")
    y = sketch.op("conv", x, sketch.normal(4, 3, 1, 1), None, None, slopes, activation=Activation("prelu"))
    assert op_types(check_results(sketch.returns(y).graph)) == ["Conv", "Reshape", "PRelu"]


@pytest.mark.parametrize("shape", [("N", 6, 4, 5), ("N", 6, "H", "W"), (2, 6, 7), ("N", 6)])
def test_channel_shuffle(shape: tuple[int | str, ...]) -> None:
    sketch = Sketch()
    y = sketch.op("channel_shuffle", sketch.input(*shape), groups=3)
    check_results(sketch.returns(y).graph)


def test_elementwise_chain() -> None:
    sketch = Sketch()
    x, other = sketch.input("N", 3, 4, name="x"), sketch.input("N", 3, 1, name="other")
    steps = (
        ChainStep("mul", (0, 1)),
        ChainStep("leaky_relu", (3,), (("alpha", 0.25),)),
        ChainStep("clip", (4, -1, 2)),
        ChainStep("greater", (5, 0)),
        ChainStep("where", (6, 5, 0)),
    )
    y = sketch.op("elementwise_chain", x, other, sketch.const(0.5), steps=steps)
    types = op_types(check_results(sketch.returns(y).graph))
    assert types == ["Mul", "LeakyRelu", "Clip", "Greater", "Where"]


@pytest.mark.parametrize(("value", "dtype"), [(0.0, "f32"), (2.5, "f32"), (3, "i64"), (True, "bool"), (0, "i64")])
def test_constant_of_shape(value: float, dtype: str) -> None:
    sketch = Sketch()
    shape = sketch.op("shape", sketch.input("N", 3))
    check_results(sketch.returns(sketch.op("constant_of_shape", shape, value=value, dtype=DType(dtype))).graph)


def test_swish_is_one_node_only_where_the_opset_asked_for_has_it() -> None:
    sketch = Sketch()
    y = sketch.op("swish", sketch.input("N", 3), alpha=1.5)
    graph = sketch.returns(y).graph
    assert op_types(check_results(graph)) == ["Mul", "Sigmoid", "Mul"]
    assert op_types(check_results(graph, opset=24)) == ["Swish"]
