"""``cnnc.prune``: what it gives, what it leaves alone, and its ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import cnnc
from cnnc import interp
from cnnc.errors import InputError, OptionError, UnsupportedError
from cnnc.ir.clone import clone_graph
from cnnc.pruning import apply_masks
from tests.cli.command_line import LENET
from tests.pruning.graphs import Network, random, weights_of
from tests.quantization.float_networks import classifier, decoder

NETWORK = Network("N", 3, 8, 8).conv("a", random(8, 3, 3, 3)).norm("n", np.arange(8, dtype=np.float32)).relu()
GRAPH = NETWORK.conv("b", random(6, 8, 1, 1)).pooled().gemm("fc", random(6, 4)).done()


def test_the_graph_given_stays_as_it_is() -> None:
    before = {name: array.copy() for name, array in weights_of(GRAPH).items()}
    pruned = cnnc.prune(GRAPH, sparsity=0.5)
    for name, array in weights_of(GRAPH).items():
        assert (array == before[name]).all()
        expected = array * pruned.masks.get(name, True)
        assert (weights_of(pruned.graph)[name] == expected).all()
    assert set(pruned.masks) == {"b", "fc"}


def test_what_became_of_every_weight() -> None:
    pruned = cnnc.prune(GRAPH, sparsity=0.5, scope="layer")
    a, b, fc = pruned.weights
    assert (a.layer, a.op, a.shape, a.kept) == ("/a/Conv", "conv", (8, 3, 3, 3), 216)
    assert a.why == "it reads the model's input"
    assert (b.kept, b.nonzero, b.total, b.density, b.why) == (24, 24, 48, 0.5, "")
    sums = pruned.totals
    assert (sums.pruned_weights, sums.pruned_kept, sums.pruned_sparsity) == (72, 36, 0.5)
    assert (sums.weights, sums.nonzero) == (288, 252)
    assert sums.sparsity == 36 / 288
    assert fc.nonzero == 12


def test_zeros_that_are_there_are_counted() -> None:
    weights = random(4, 8)
    weights[:, :5] = 0
    pruned = cnnc.prune(Network(1, 4).gemm("w", weights).done(), sparsity=0.25)
    [report] = pruned.weights
    assert (report.kept, report.nonzero) == (24, 12)


@pytest.mark.parametrize("make", [classifier, decoder])
@pytest.mark.parametrize("pattern", ["unstructured", "block4", "1:2"])
def test_the_file_is_the_model_with_zeros(make: object, pattern: str, tmp_path: Path) -> None:
    model = make(17)  # type: ignore[operator]
    pruned = cnnc.prune(model, sparsity=0.5, pattern=pattern)
    path = tmp_path / "pruned.onnx"
    cnnc.export_onnx(pruned.graph, path)
    written = onnx.load(path)
    onnx.checker.check_model(written, full_check=True)
    assert [node.op_type for node in written.graph.node] == [node.op_type for node in model.graph.node]
    assert [node.name for node in written.graph.node] == [node.name for node in model.graph.node]
    before = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    after = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    for name, mask in pruned.masks.items():
        assert (after[name] == np.where(mask, before[name], 0)).all()
        assert not np.signbit(after[name][~mask]).any()
    # The imported file prunes as the model did.
    again = cnnc.prune(path, sparsity=0.5, pattern=pattern)
    assert (weights_of(again.graph)[name] == weights_of(pruned.graph)[name]).all()


def test_results_are_those_of_the_masked_weights() -> None:
    pruned = cnnc.prune(GRAPH, sparsity=0.7)
    masked = clone_graph(GRAPH)
    apply_masks(masked, pruned.masks)
    feeds = {"x": random(2, 3, 8, 8)}
    assert (interp.run(pruned.graph, feeds)["y"] == interp.run(masked, feeds)["y"]).all()


def test_networks_in_half_precision_stay_so() -> None:
    model = cnnc.export_onnx(Network(1, 4).gemm("w", random(4, 8)).done())
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    del model.graph.value_info[:]
    pruned = cnnc.prune(model, sparsity=0.5)
    array = weights_of(pruned.graph)["w"]
    assert array.dtype == np.float16
    assert np.count_nonzero(array) == 16


def test_placed_graphs_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="for one CPU"):
        cnnc.prune(cnnc.compile(LENET).graph, sparsity=0.5)


def test_an_amount_is_needed() -> None:
    with pytest.raises(OptionError, match="how many weights go"):
        cnnc.prune(LENET)


def test_recovery_needs_samples() -> None:
    with pytest.raises(OptionError, match="without samples"):
        cnnc.prune(LENET, sparsity=0.5, recover="both")
    with pytest.raises(OptionError, match="no recovery 'training'"):
        cnnc.prune(LENET, sparsity=0.5, recover="training")


@pytest.mark.jit
def test_the_report_counts_recovered_weights() -> None:
    graph = clone_graph(GRAPH)
    weights = graph.value("fc").array
    assert weights is not None
    graph.set_constant(graph.value("fc"), np.where(np.arange(4) == 1, 0, weights).astype(np.float32))
    pruned = cnnc.prune(graph, sparsity=0.25, scope="layer", data=[{"x": random(16, 3, 8, 8)}])
    assert pruned.recovery is not None
    for report in pruned.weights:
        assert report.nonzero == np.count_nonzero(weights_of(pruned.graph)[report.name])


@pytest.mark.parametrize(
    ("name", "mask", "part"),
    [
        ("absent", np.ones((6, 4), bool), "no such weight"),
        ("x", np.ones((1, 3, 8, 8), bool), "no such weight"),
        ("fc", np.ones((4, 6), bool), r"bool\[4, 6\], expected bool\[6, 4\]"),
        ("fc", np.ones((6, 4)), r"float64\[6, 4\]"),
    ],
)
def test_masks_that_do_not_fit_are_refused(name: str, mask: np.ndarray, part: str) -> None:
    with pytest.raises(InputError, match=part):
        apply_masks(clone_graph(GRAPH), {name: mask})
