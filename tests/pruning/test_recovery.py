"""Recovered networks are nearer to the dense ones than pruned ones, keep their zeros, names and structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.errors import InputError, OptionError
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.ops.conv import ConvAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.pruning import Settings, prune_graph
from cnnc.pruning.recovery import recover
from tests.pruning.graphs import Array, Network, random

pytestmark = pytest.mark.jit

BATCHES = [{"x": random(20, 3, 9, 9, seed=seed)} for seed in range(7, 11)]
HELD_OUT = {"x": random(40, 3, 9, 9, seed=11)}


def samples() -> list[dict[str, Array]]:
    return BATCHES


def bias(network: Network, name: str, size: int) -> Any:
    return network.constant(name, random(size, seed=len(name)))


def network(*, normalized: bool) -> Graph:
    """A residual network: grouped, depthwise, strided and pointwise convs, then a gemm."""
    made = Network(20, 3, 9, 9)

    def layer(name: str, weights: Array, **attrs: Any) -> None:
        scaled = (weights / np.sqrt(weights[0].size)).astype(np.float32)
        if normalized:
            made.conv(name, scaled, **attrs)
            made.norm(f"{name}.norm", 1 + 0.2 * random(len(weights), seed=5), np.full(len(weights), 0.8, np.float32))
        else:
            constants = [made.constant(name, scaled), bias(made, f"{name}.bias", len(weights))]
            made.op("conv", *constants, attrs=ConvAttrs(**attrs), name=f"/{name}/Conv")

    layer("first", random(12, 3, 3, 3, seed=1), pads=(1, 1, 1, 1))
    made.relu()
    shortcut = made.last
    layer("grouped", random(12, 6, 3, 3, seed=2), pads=(1, 1, 1, 1), group=2)
    made.op("add", shortcut).relu()
    layer("depthwise", random(12, 1, 3, 3, seed=3), pads=(1, 1, 1, 1), group=12)
    made.relu()
    layer("strided", random(16, 12, 3, 3, seed=4), pads=(0, 0, 1, 1), strides=(2, 2))
    made.relu()
    layer("point", random(20, 16, 1, 1, seed=5))
    made.relu().pooled()
    constants = [made.constant("last", random(20, 10, seed=6)), bias(made, "last.bias", 10)]
    return made.op("gemm", *constants, attrs=GemmAttrs(), name="/last/Gemm").done()


def error(graph: Graph, other: Graph, feeds: dict[str, Array]) -> float:
    """Relative to what the result varies by."""
    small = {"x": feeds["x"][:20]}
    [wanted], [got] = (list(interp.run(each, small).values()) for each in (graph, other))
    return float(np.square(wanted - got).mean() / wanted.var(axis=0).mean())


def values(graph: Graph) -> dict[str, Array]:
    return {value.name: value.array for value in graph.constants if value.array is not None}


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(
    ("pattern", "sparsity", "wide"),
    [("unstructured", 0.6, False), ("unstructured", 0.6, True), ("block4", 0.5, False), ("2:4", None, False)],
)
def test_recovered_networks_are_nearer(normalized: bool, pattern: str, sparsity: float | None, wide: bool) -> None:
    dense = network(normalized=normalized)
    settings = Settings(sparsity=sparsity, pattern=pattern, prune_depthwise=wide, prune_first=wide)
    made = prune_graph(clone_graph(dense), settings)
    masked = error(dense, made.graph, HELD_OUT)
    recovered = clone_graph(made.graph)
    found = recover(dense, recovered, made.masks, samples)
    assert error(dense, recovered, HELD_OUT) < 0.5 * masked
    assert error(dense, recovered, BATCHES[0]) < 0.4 * error(dense, made.graph, BATCHES[0])
    assert {fit.layer for fit in found.fits} >= {"/strided/Conv", "/point/Conv", "/last/Gemm"}
    for fit in found.fits:
        assert fit.after <= fit.before * (1 + 1e-6) and not fit.why
    for name, mask in made.masks.items():
        assert not values(recovered)[name][~mask].any()
    before, after = values(made.graph), values(recovered)
    assert {name: (array.shape, array.dtype) for name, array in before.items()} == {
        name: (array.shape, array.dtype) for name, array in after.items()
    }
    if not wide:
        assert (after["first"] == before["first"]).all()
    assert [node.op for node in recovered.nodes] == [node.op for node in dense.nodes]


@pytest.mark.parametrize("normalized", [True, False])
def test_statistics_alone_help(normalized: bool) -> None:
    dense = network(normalized=normalized)
    made = prune_graph(clone_graph(dense), Settings(sparsity=0.6))
    masked = error(dense, made.graph, HELD_OUT)
    found = recover(dense, made.graph, made.masks, samples, "statistics")
    assert error(dense, made.graph, HELD_OUT) < 0.7 * masked
    assert found.normalizations == 5 and not found.fits
    for name, array in values(dense).items():
        if name in made.masks:
            assert not values(made.graph)[name][~made.masks[name]].any()
        elif name.startswith("first"):
            assert (values(made.graph)[name] == array).all()
        elif normalized and not name.endswith((".mean", ".variance", ".bias")):
            assert (values(made.graph)[name] == array).all()


@pytest.mark.parametrize("normalized", [True, False])
def test_results_have_the_moments_of_the_dense_network(normalized: bool) -> None:
    dense = network(normalized=normalized)
    made = prune_graph(clone_graph(dense), Settings(sparsity=0.7))
    recover(dense, made.graph, made.masks, samples, "statistics")
    wanted_op = "batch_normalization" if normalized else "conv"
    names = [node.output.name for node in dense.nodes if node.op == wanted_op]
    for name in names:
        wanted, got = (
            np.concatenate([interp.run(graph, batch, capture=[name])[name] for batch in BATCHES])
            for graph in (dense, made.graph)
        )
        np.testing.assert_allclose(got.mean((0, 2, 3)), wanted.mean((0, 2, 3)), atol=1e-3)
        np.testing.assert_allclose(got.std((0, 2, 3)), wanted.std((0, 2, 3)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("normalized", [True, False])
def test_unpruned_networks_stay(normalized: bool) -> None:
    dense = network(normalized=normalized)
    other = clone_graph(dense)
    found = recover(dense, other, {}, samples, "both")
    assert not found.fits and not found.normalizations
    assert all((values(other)[name] == array).all() for name, array in values(dense).items())


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("method", ["reconstruct", "statistics"])
def test_masks_that_keep_all_change_nothing(normalized: bool, method: str) -> None:
    dense = network(normalized=normalized)
    other = clone_graph(dense)
    masks = {name: np.ones(values(dense)[name].shape, bool) for name in ("first", "point")}
    recover(dense, other, masks, samples, method)
    for name, array in values(dense).items():
        np.testing.assert_allclose(values(other)[name], array, rtol=1e-3, atol=1e-4)


def test_layers_that_cannot_be_fitted_say_why() -> None:
    made = Network(20, 3, 9, 9).conv("a", random(8, 3, 1, 1))
    shared = made.constant("shared", random(8, 8, 1, 1))
    for name in ("b", "c"):
        made.op("conv", shared, attrs=ConvAttrs(), name=name)
    made.pooled()
    made.op("gemm", made.constant("d", random(8, 5)), attrs=GemmAttrs(alpha=0.5), name="d")
    dense = made.done()
    pruned = prune_graph(clone_graph(dense), Settings(sparsity=0.5))
    before = values(pruned.graph)
    found = recover(dense, pruned.graph, pruned.masks, samples)
    assert [(fit.layer, fit.why) for fit in found.fits] == [
        ("b", "its weights are read elsewhere, too"),
        ("c", "its weights are read elsewhere, too"),
        ("d", "it scales or transposes what it reads"),
    ]
    assert all((values(pruned.graph)[name] == array).all() for name, array in before.items())


def test_statistics_that_others_read_stay() -> None:
    dense = Network(20, 3, 9, 9).conv("a", random(3, 3, 1, 1))
    dense.norm("n", np.ones(3, np.float32))
    node = dense.last.producer
    assert node is not None
    graph = dense.done()
    graph.set_input(node, 2, graph.value("n.mean"))
    pruned = prune_graph(clone_graph(graph), Settings(sparsity=0.5, prune_first=True))
    assert recover(graph, pruned.graph, pruned.masks, samples, "statistics").normalizations == 0


def test_models_are_recovered_as_they_are_pruned() -> None:
    dense = network(normalized=True)
    found = cnnc.prune(dense, sparsity=0.6, data=iter(BATCHES), recover="both")
    plain = cnnc.prune(dense, sparsity=0.6)
    assert plain.recovery is None and found.recovery is not None
    assert found.recovery.after > found.recovery.before + 3
    assert found.recovery.normalizations == 4
    assert error(dense, found.graph, HELD_OUT) < 0.5 * error(dense, plain.graph, HELD_OUT)
    assert all((mask == plain.masks[name]).all() for name, mask in found.masks.items())


def test_a_recovery_that_does_not_exist_is_refused() -> None:
    with pytest.raises(OptionError, match="no recovery 'train'"):
        cnnc.prune(network(normalized=True), sparsity=0.6, data=BATCHES, recover="train")


@pytest.mark.parametrize("batches", [[], [{"y": BATCHES[0]["x"]}], [{"x": BATCHES[0]["x"][:, :2]}], [None]])
def test_bad_samples_are_refused(batches: list[Any]) -> None:
    dense = network(normalized=True)
    pruned = prune_graph(clone_graph(dense), Settings(sparsity=0.5))
    with pytest.raises(InputError):
        recover(dense, pruned.graph, pruned.masks, lambda: batches)
