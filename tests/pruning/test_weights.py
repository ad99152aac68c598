"""Which weights are pruned, and why others stay dense."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.errors import ModelError, OptionError
from cnnc.ir import Graph
from cnnc.ops.conv import ConvAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.pruning import Settings
from cnnc.pruning.weights import all_weights, from_rows, rows_of, select
from tests.pruning.graphs import Network, random


def network() -> Network:
    """A first conv, a depthwise and a dense one, and a product that gives the result."""
    made = Network("N", 3, 8, 8).conv("stem", random(8, 3, 3, 3)).relu().conv("dw", random(8, 1, 3, 3), group=8)
    return made.conv("pw", random(6, 8, 1, 1)).pooled().gemm("head", random(6, 5))


def dense(graph: Graph, settings: Settings) -> dict[str, str]:
    return {weight.name: reason for weight, reason in select(graph, settings).dense.items()}


def test_the_first_conv_and_depthwise_ones_stay_dense() -> None:
    reasons = dense(network().done(), Settings(0.5))
    assert reasons == {"stem": "it reads the model's input", "dw": "depthwise"}


def test_what_stays_dense_can_be_chosen() -> None:
    graph = network().done()
    assert dense(graph, Settings(0.5, prune_first=True, prune_depthwise=True)) == {}
    assert "head" in dense(graph, Settings(0.5, prune_last=False))
    assert dense(graph, Settings(0.5, exclude=("/p*/Conv",)))["pw"] == "excluded by '/p*/Conv'"


def test_a_ratio_prunes_what_would_stay_dense() -> None:
    selected = select(network().done(), Settings(ratios=(("stem", 0.3), ("/dw/Conv", 0.1))))
    assert {weight.name: ratio for weight, ratio in selected.ratios.items()} == {"stem": 0.3, "dw": 0.1}
    assert {weight.name for weight in selected.dense} == {"pw", "head"}
    assert set(selected.dense.values()) == {"no ratio names it"}


def test_a_product_that_reads_the_input_is_pruned() -> None:
    graph = Network("N", 8).gemm("fc", random(8, 5)).done()
    assert dense(graph, Settings(0.5)) == {}


def test_brackets_in_names_are_themselves() -> None:
    graph = Network(1, 8).gemm("fc[0]", random(8, 8)).gemm("fc0", random(8, 5)).done()
    assert list(dense(graph, Settings(0.5, exclude=("fc[0]",)))) == ["fc[0]"]


def test_weights_that_others_read_stay_dense() -> None:
    net = Network(1, 4, 5, 5)
    w = net.constant("w", random(4, 4, 1, 1))
    graph = net.op("conv", w, attrs=ConvAttrs(), name="c").op("add", w, name="a").conv("d", random(2, 4, 1, 1)).done()
    assert "other nodes read it" in dense(graph, Settings(0.5, prune_first=True))["w"]


def test_weights_of_several_layers_are_pruned_once() -> None:
    net = Network(1, 4, 5, 5)
    w = net.constant("w", random(4, 4, 1, 1))
    graph = net.op("conv", w, attrs=ConvAttrs(), name="c").op("conv", w, attrs=ConvAttrs(), name="d").done()
    [weight] = select(graph, Settings(0.5, prune_first=True)).ratios
    assert [layer.name for layer in weight.layers] == ["c", "d"]


def test_weights_under_another_name_are_found() -> None:
    net = Network(1, 4, 5, 5).conv("first", random(4, 4, 1, 1))
    x, w = net.last, net.constant("w", random(4, 4, 1, 1))
    net.last = w
    net.op("identity", name="again")
    other, net.last = net.last, x
    graph = net.op("conv", other, attrs=ConvAttrs(), name="c").done()
    assert [weight.name for weight in select(graph, Settings(0.5)).ratios] == ["w"]


def test_a_matrix_that_is_read_in_two_ways_stays_dense() -> None:
    net = Network(1, 6)
    w = net.constant("w", random(6, 6))
    graph = net.op("matmul", w).op("gemm", w, attrs=GemmAttrs(transB=1)).gemm("fc", random(6, 3)).done()
    assert dense(graph, Settings(0.5)) == {"w": "layers read it in different ways"}


def test_batches_of_matrices_stay_dense() -> None:
    graph = Network(3, 2, 6).matmul("batch", random(3, 6, 5)).matmul("m", random(5, 4)).done()
    assert dense(graph, Settings(0.5)) == {"batch": "3 axes are no matrix"}


def test_channels_that_do_not_fit_stay_dense() -> None:
    reasons = dense(network().done(), Settings(pattern="2:4", prune_first=True, prune_depthwise=True))
    assert reasons["stem"] == "3 input channels a group are no multiple of 4"
    assert set(reasons) == {"stem", "dw", "head"}


@pytest.mark.parametrize("name", ["stem", "dw", "pw", "head"])
def test_rows_and_back(name: str) -> None:
    [weight] = [weight for weight in all_weights(network().done()) if weight.name == name]
    rows = rows_of(weight.layers[0], weight.array)
    assert (from_rows(weight.layers[0], rows, weight.array.shape) == weight.array).all()
    assert {"stem": (1, 8, 3, 9), "dw": (8, 1, 1, 9), "pw": (1, 6, 8, 1), "head": (1, 5, 6, 1)}[name] == rows.shape


def test_rows_of_a_transposed_conv_with_groups() -> None:
    graph = Network(1, 4, 5, 5).conv_transpose("t", random(4, 3, 2, 2), group=2).done()
    [weight] = all_weights(graph)
    rows = rows_of(weight.layers[0], weight.array)
    assert rows.shape == (2, 3, 2, 4)
    assert (rows[1, 2, 0] == weight.array[2, 2].reshape(-1)).all()
    assert (from_rows(weight.layers[0], rows, weight.array.shape) == weight.array).all()


def test_models_without_weights_are_refused() -> None:
    with pytest.raises(ModelError, match="no layer has constant weights"):
        select(Network(1, 3).relu().done(), Settings(0.5))


def test_nothing_left_to_prune_is_refused() -> None:
    with pytest.raises(ModelError, match="no layer is left to prune") as caught:
        select(network().done(), Settings(0.5, exclude=("*",)))
    assert "stem: excluded by '*'" in str(caught.value)


@pytest.mark.parametrize("settings", [Settings(0.5, exclude=("conv1",)), Settings(0.5, ratios=(("conv1", 0.7),))])
def test_names_of_no_layer_are_refused(settings: Settings) -> None:
    with pytest.raises(OptionError, match="is called 'conv1'") as caught:
        select(network().done(), settings)
    assert "/stem/Conv" in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(bad: float) -> None:
    weights = random(4, 3, 1, 1)
    weights[1, 2] = bad
    graph = Network(1, 3, 4, 4).conv("broken", weights).conv("fine", random(2, 4, 1, 1)).done()
    with pytest.raises(ModelError, match="holds infinity or NaN") as caught:
        select(graph, Settings(0.5, prune_first=True))
    assert "/broken/Conv" in str(caught.value)
    assert "broken" in dense(graph, Settings(0.5))
