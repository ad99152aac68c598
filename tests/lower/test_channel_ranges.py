"""Concat and split of channels lie in place: no copy, the same numbers, any batch."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.dims import symbol
from cnnc.ir import Graph, Value
from cnnc.ir.clone import clone_graph
from cnnc.ops import OPS
from cnnc.runtime.program import KernelStep
from cnnc.types import DType, TensorType

pytestmark = pytest.mark.jit


def conv(graph: Graph, x: Value, channels: int, rng: np.random.Generator, kernel: int = 3) -> Value:
    weights = rng.standard_normal((channels, int(x.type.shape[1]), kernel, kernel), np.float32) / 8
    attrs = OPS["conv"].attrs(pads=(kernel // 2,) * 4)
    return graph.add_node("conv", [x, graph.add_constant(weights, "w")], attrs).output


def concat(graph: Graph, values: list[Value]) -> Value:
    return graph.add_node("concat", values, OPS["concat"].attrs(axis=1)).output


def check(graph: Graph, output: Value) -> list[KernelStep]:
    """Compile, compare with the interpreter at batches 1 and 3, return the compiled steps."""
    graph.set_outputs([output], ["y"])
    reference = clone_graph(graph)
    model = cnnc.compile(graph)
    for batch in (1, 3):
        x = np.random.default_rng(batch).standard_normal((batch, 5, 6, 7)).astype(np.float32)
        truth = interp.run(reference, {"x": x}, float64=True)["y"]
        got = model.run({"x": x})["y"]
        np.testing.assert_allclose(got, truth, rtol=0, atol=1e-5 * float(truth.std()))
    return [step for step in model.lowered.program.steps if isinstance(step, KernelStep)]


@pytest.fixture
def graph() -> Graph:
    graph = Graph(OPS)
    graph.add_input("x", TensorType((symbol("N"), 5, 6, 7), DType.F32))
    return graph


@pytest.mark.parametrize("channels", [(16, 32), (8, 24, 5), (1, 1)])
def test_pieces_are_written_in_place(graph: Graph, channels: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    joined = concat(graph, [conv(graph, graph.inputs[0], count, rng) for count in channels])
    steps = check(graph, conv(graph, joined, 9, rng))
    assert [step.op for step in steps if step.op == "concat"] == []


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_an_upsampled_piece_is_written_in_place(graph: Graph, mode: str) -> None:
    rng = np.random.default_rng(7)
    wide = conv(graph, graph.inputs[0], 24, rng)
    small = graph.add_node("max_pool", [wide], OPS["max_pool"].attrs(kernel_shape=(2, 2), strides=(2, 1))).output
    operands = [small, None, None, graph.add_constant(np.array([6, 7]), "sizes")]
    grown = graph.add_node("resize", operands, OPS["resize"].attrs(mode=mode, axes=(2, 3))).output
    steps = check(graph, conv(graph, concat(graph, [wide, grown]), 9, rng))
    assert [step.op for step in steps if step.op in ("concat", "convert_layout")] == ["convert_layout"]


@pytest.mark.parametrize("value", [0.0, -3.5])
def test_padding_of_blocked_tensors(graph: Graph, value: float) -> None:
    rng = np.random.default_rng(8)
    pads = graph.add_constant(np.array([0, 0, 1, 0, 0, 0, 2, 3]), "pads")
    fill = graph.add_constant(np.array(value, np.float32), "value")
    x = conv(graph, graph.inputs[0], 20, rng)
    padded = graph.add_node("pad", [x, pads, fill], OPS["pad"].attrs()).output
    pooled = graph.add_node("max_pool", [padded], OPS["max_pool"].attrs(kernel_shape=(2, 2))).output
    steps = check(graph, conv(graph, pooled, 9, rng))
    assert [step.op for step in steps] == ["conv", "pad", "max_pool", "conv", "convert_layout"]


def test_depthwise_pieces_keep_to_their_images(graph: Graph) -> None:
    """Tiles that hang over the border step over the gaps between images as well."""
    rng = np.random.default_rng(6)
    whole = conv(graph, graph.inputs[0], 16, rng)
    weights = graph.add_constant(rng.standard_normal((16, 1, 3, 3), np.float32), "w")
    attrs = OPS["conv"].attrs(pads=(1,) * 4, group=16)
    pieces = [graph.add_node("conv", [whole, weights], attrs).output, conv(graph, whole, 16, rng)]
    steps = check(graph, conv(graph, concat(graph, pieces), 9, rng))
    assert [step.op for step in steps if step.op == "concat"] == []


def test_dense_block_lies_in_its_last_concat(graph: Graph) -> None:
    rng = np.random.default_rng(1)
    features = [conv(graph, graph.inputs[0], 24, rng)]
    for _ in range(3):
        joined = concat(graph, list(features)) if len(features) > 1 else features[0]
        features.append(conv(graph, joined, 12, rng))
    steps = check(graph, conv(graph, concat(graph, features), 7, rng, kernel=1))
    assert [step.op for step in steps if step.op == "concat"] == []


def test_a_piece_that_is_an_output_too_is_copied(graph: Graph) -> None:
    rng = np.random.default_rng(2)
    piece = conv(graph, graph.inputs[0], 16, rng)
    joined = conv(graph, concat(graph, [piece, conv(graph, graph.inputs[0], 16, rng)]), 8, rng)
    graph.set_outputs([joined, piece], ["y", "piece"])
    reference = clone_graph(graph)
    model = cnnc.compile(graph)
    x = rng.standard_normal((2, 5, 6, 7), np.float32)
    truth = interp.run(reference, {"x": x}, float64=True)
    for name, got in model.run({"x": x}).items():
        np.testing.assert_allclose(got, truth[name], rtol=0, atol=1e-5 * float(truth[name].std()))


def test_the_same_piece_twice(graph: Graph) -> None:
    rng = np.random.default_rng(3)
    piece = conv(graph, graph.inputs[0], 16, rng)
    check(graph, conv(graph, concat(graph, [piece, piece]), 8, rng))


def test_split_on_block_borders_is_a_view(graph: Graph) -> None:
    rng = np.random.default_rng(4)
    whole = conv(graph, graph.inputs[0], 96, rng)
    sizes = graph.add_constant(np.array([32, 64]), "sizes")
    first, second = graph.add_node("split", [whole, sizes], OPS["split"].attrs(axis=1), outputs=2).outputs
    steps = check(graph, concat(graph, [conv(graph, second, 8, rng), conv(graph, first, 16, rng)]))
    assert [step.op for step in steps if step.op == "split"] == []


def test_split_inside_a_block_gathers_lanes(graph: Graph) -> None:
    rng = np.random.default_rng(5)
    whole = conv(graph, graph.inputs[0], 20, rng)
    sizes = graph.add_constant(np.array([7, 13]), "sizes")
    first, second = graph.add_node("split", [whole, sizes], OPS["split"].attrs(axis=1), outputs=2).outputs
    check(graph, concat(graph, [conv(graph, second, 8, rng), conv(graph, first, 16, rng)]))


def test_gathered_channels_are_written_in_place(graph: Graph) -> None:
    rng = np.random.default_rng(9)
    shuffled = graph.add_node(
        "channel_shuffle", [conv(graph, graph.inputs[0], 24, rng)], OPS["channel_shuffle"].attrs(groups=2)
    ).output
    sizes = graph.add_constant(np.array([12, 12]), "sizes")
    kept, processed = graph.add_node("split", [shuffled, sizes], OPS["split"].attrs(axis=1), outputs=2).outputs
    joined = concat(graph, [kept, conv(graph, processed, 12, rng)])
    steps = check(graph, conv(graph, joined, 9, rng))
    assert [step.op for step in steps if step.op not in ("conv", "convert_layout")] == ["gather", "gather"]
