"""Density and pattern of weights."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnc.ir import Graph
from cnnc.lower.density import layer_density, weight_density
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

Weight = NDArray[np.float32]


def dense(*shape: int) -> Weight:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def unstructured(weight: Weight, share: float) -> Weight:
    return weight * (np.random.default_rng(1).random(weight.shape) >= share).astype(np.float32)


def blocks_of_four(weight: Weight, share: float) -> Weight:
    rows = -(-len(weight) // 4)
    kept = np.random.default_rng(1).random((rows, *weight.shape[1:])) >= share
    return weight * np.repeat(kept, 4, axis=0)[: len(weight)]


def test_a_dense_weight() -> None:
    found = weight_density(dense(10, 3, 3, 3))
    assert (found.pattern, found.density, found.non_zeros, found.elements) == ("dense", 1.0, 270, 270)
    assert (found.empty_filters, found.dead_inputs, found.blocks) == (0, 0, 3 * 27)


def test_few_zeros_are_no_pattern() -> None:
    weight = dense(16, 16, 1, 1)
    weight[3, 5] = 0
    found = weight_density(weight)
    assert (found.pattern, found.non_zeros) == ("dense", 255)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("shape", [(32, 16, 3, 3), (33, 20, 1, 1), (64, 64)])
def test_unstructured(share: float, shape: tuple[int, ...]) -> None:
    weight = unstructured(dense(*shape), share)
    found = weight_density(weight)
    assert found.pattern == "unstructured"
    assert found.non_zeros == np.count_nonzero(weight)
    padded = np.concatenate([weight, np.zeros((-len(weight) % 4, *shape[1:]), np.float32)])
    assert found.blocks == np.count_nonzero(padded.reshape(-1, 4, *shape[1:]).any(axis=1))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("shape", [(32, 16, 3, 3), (33, 20, 1, 1), (66, 64)])
def test_blocks_of_four(share: float, shape: tuple[int, ...]) -> None:
    found = weight_density(blocks_of_four(dense(*shape), share))
    assert found.pattern == "block4"
    assert found.blocks <= found.non_zeros <= 4 * found.blocks


def test_blocks_of_four_with_zeros_by_chance() -> None:
    """Weights that were kept may be rounded to the integer 0."""
    integers = np.rint(blocks_of_four(dense(64, 64, 1, 1), 0.7) * 40).astype(np.int8)
    assert np.count_nonzero(integers) < np.count_nonzero(blocks_of_four(dense(64, 64, 1, 1), 0.7))
    assert weight_density(integers).pattern == "block4"


@pytest.mark.parametrize("kept, run", [(2, 4), (1, 4), (1, 2), (4, 8), (1, 16)])
@pytest.mark.parametrize("taps", [1, 3])
def test_n_of_m(kept: int, run: int, taps: int) -> None:
    rng = np.random.default_rng(2)
    ranks = rng.random((24, 2 * 16 // run, run, taps, taps)).argsort(axis=2).argsort(axis=2)
    weight = dense(24, 32, taps, taps) * (ranks < kept).reshape(24, 32, taps, taps)
    expected = "2:4" if (kept, run) == (4, 8) and _is_two_of_four(weight) else f"{kept}:{run}"
    assert weight_density(weight).pattern == expected


def _is_two_of_four(weight: Weight) -> bool:
    return bool((weight.reshape(len(weight), -1, 4, *weight.shape[2:]) != 0).sum(axis=2).max() <= 2)


def test_empty_filters_and_dead_inputs() -> None:
    weight = dense(12, 10, 3, 3)
    weight[[2, 7]] = 0
    weight[:, [0, 3, 9]] = -0.0
    found = weight_density(weight)
    assert (found.pattern, found.empty_filters, found.dead_inputs) == ("channel", 2, 3)
    assert found.non_zeros == 10 * 7 * 9


def test_an_empty_weight_and_one_non_zero() -> None:
    weight = np.zeros((8, 6, 3, 3), np.float32)
    found = weight_density(weight)
    assert (found.density, found.pattern, found.empty_filters, found.dead_inputs) == (0, "channel", 8, 6)
    weight[5, 2, 1, 1] = np.nan
    found = weight_density(weight)
    assert (found.non_zeros, found.empty_filters, found.dead_inputs, found.blocks) == (1, 7, 5, 1)


def test_a_weight_without_elements() -> None:
    assert weight_density(np.zeros((0, 3, 1, 1), np.float32)).density == 1.0


def test_groups() -> None:
    """Blocks end with their group, and an input is dead where its own group does not read it."""
    weight = dense(12, 5, 1, 1)
    weight[:6, 1] = 0
    weight[6:, 4] = 0
    found = weight_density(weight, groups=2)
    assert (found.pattern, found.dead_inputs, found.empty_filters) == ("channel", 2, 0)
    assert found.blocks == 2 * 2 * 4


def test_zero_points() -> None:
    weight = np.full((8, 4, 1, 1), 7, np.uint8)
    weight[:, :2] = 9
    assert weight_density(weight, zero=7).non_zeros == 16
    by_channel = np.where(np.arange(8) < 4, 7, 9).astype(np.uint8)
    assert weight_density(weight, zero=by_channel).non_zeros == 16
    assert weight_density(weight, zero=np.uint8(0)).pattern == "dense"


def layer(op: str, weight: NDArray[np.generic], **attributes: object) -> Graph:
    graph = Graph(OPS)
    channels = {"conv": 8, "conv_transpose": 8, "gemm": 8, "matmul": 8}[op]
    shape = (1, channels) if op in ("gemm", "matmul") else (1, channels, 9, 9)
    x = graph.add_input("x", TensorType(shape, DType.F32))
    attrs = OPS[op].attrs(**attributes)
    graph.set_outputs([graph.add_node(op, [x, graph.add_constant(weight, "w")], attrs).output], ["y"])
    return graph


def test_weights_of_layers_by_their_outputs() -> None:
    """12 outputs, one of them empty, in the order of axes of each op."""
    weight = dense(12, 8)
    weight[5] = 0
    window = np.repeat(weight, 9, axis=1).reshape(12, 8, 3, 3)
    for graph in (
        layer("conv", window),
        layer("conv_transpose", window.swapaxes(0, 1)),
        layer("gemm", weight, transB=1),
        layer("gemm", weight.T),
        layer("matmul", weight.T),
    ):
        [node] = graph.nodes
        found = layer_density(node)
        assert found is not None
        assert (found.empty_filters, found.dead_inputs, found.pattern) == (1, 0, "channel")


def test_a_grouped_transposed_convolution() -> None:
    weight = dense(8, 6, 2, 2)  # 2 groups of 4 inputs and 6 outputs
    weight[4:, 1] = 0
    [node] = layer("conv_transpose", weight, group=2).nodes
    found = layer_density(node)
    assert found is not None
    assert (found.empty_filters, found.dead_inputs) == (1, 0)


def test_weights_that_are_dequantized_count_as_stored() -> None:
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((1, 8, 9, 9), DType.F32))
    weight = np.full((16, 8, 1, 1), 3, np.int8)
    weight[:4] = 5
    operands = [graph.add_constant(array, name) for array, name in ((weight, "w"), (np.float32(0.1), "s"))]
    zero = graph.add_constant(np.asarray(5, np.int8), "z")
    real = graph.add_node("dequantize_linear", [*operands, zero], OPS["dequantize_linear"].attrs()).output
    node = graph.add_node("conv", [x, real], OPS["conv"].attrs())
    found = layer_density(node)
    assert found is not None
    assert (found.non_zeros, found.empty_filters) == (12 * 8, 4)


def test_nodes_without_a_constant_weight_have_none() -> None:
    graph = Graph(OPS)
    x, w = (graph.add_input(name, TensorType((4, 4), DType.F32)) for name in ("x", "w"))
    assert layer_density(graph.add_node("matmul", [x, w])) is None
    assert layer_density(graph.add_node("relu", [x])) is None
