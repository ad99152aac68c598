"""Products of few rows with sparse weights on the emulator: odd sizes, several panels, hostile tables, the rule."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc.emulation import EmulatedDevice
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.gemm_sparse import SparseRowsTile, pack_sparse_matrix
from cnnc.runtime.kernel import Variant
from cnnc.types import DType, TensorType
from tests.cuda.emulated import launch


def _random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def _pruned(depth, columns, sparsity, group=1):
    masks = np.random.default_rng(1).random((depth, -(-columns // group))) >= sparsity
    return _random(depth, columns) * np.repeat(masks, group, axis=1)[:, :columns]


def _case(a, weights, tile):
    packed = pack_sparse_matrix(weights, tile)
    variant = Variant.of("gemm.f32.sparse", rows=tile.rows, group=tile.group, activation="relu")
    y = np.full((len(a), weights.shape[1]), np.nan, np.float32)
    buffers = {"y": y, "a": a, "bias": _random(weights.shape[1])}
    buffers |= {"table": packed.table, "positions": packed.positions, "weights": packed.weights}
    sizes = {"M": len(a), "N": weights.shape[1], "K": len(weights), "a_row": a.shape[1]}
    return variant, buffers, sizes | {"entries": len(packed.positions), "alpha": 0, "beta": 0}


@pytest.mark.parametrize("tile", [SparseRowsTile(1, 1), SparseRowsTile(2, 4), SparseRowsTile(4, 1)], ids=str)
@pytest.mark.parametrize("sizes", [(1, 37, 150), (3, 70, 333), (5, 3, 9000)], ids=str)
def test_equals_the_dense_product(tile, sizes):
    rows, columns, depth = sizes
    a, weights = _random(rows, depth), _pruned(depth, columns, 0.9, tile.group)
    variant, buffers, numbers = _case(a, weights, tile)
    counters = launch(variant, buffers, numbers)
    expected = np.maximum(a.astype(np.float64) @ weights + buffers["bias"], 0)
    np.testing.assert_allclose(buffers["y"], expected, atol=5e-5)
    assert not counters.issued["load local"]


def test_infinities_that_nothing_reads_change_nothing():
    a, weights = _random(1, 40), _pruned(40, 8, 0.5)
    a[0, 7], weights[7] = np.inf, 0
    variant, buffers, numbers = _case(a, weights, SparseRowsTile(1, 4))
    launch(variant, buffers, numbers)
    assert np.isfinite(buffers["y"]).all()


@pytest.mark.parametrize(
    ("table", "change", "fragment"),
    [
        ("table", lambda t: t.__setitem__((0, 0, 1), 1 << 20), "outside of the entries"),
        ("table", lambda t: t.__setitem__((0, 0, 0), -16), "outside of the entries"),
        ("positions", lambda t: t.__setitem__(0, 9000), "panel does not have"),
    ],
)
def test_tables_that_lead_elsewhere_are_refused(table, change, fragment):
    variant, buffers, sizes = _case(_random(1, 40), _pruned(40, 8, 0.5), SparseRowsTile(1, 1))
    kernel = kernel_def(variant.kernel)
    tables = {name: buffers[name].copy() for name in kernel.tables}
    as_bytes = {name: array.reshape(-1).view(np.uint8) for name, array in tables.items()}
    assert kernel.table_refusal(sizes, variant.options, as_bytes) is None
    change(tables[table])
    assert fragment in kernel.table_refusal(sizes, variant.options, as_bytes)


@pytest.mark.parametrize(("sparsity", "kernel"), [(0.95, "gemm.f32.sparse"), (0.1, "gemm.f32.few_rows")])
def test_large_pruned_layers_take_lists(sparsity, kernel):
    pytest.importorskip("numba_cuda")
    graph, weights, x = Graph(OPS), _pruned(2048, 2048, sparsity), _random(2, 2048)
    a = graph.add_input("x", TensorType((2, 2048), DType.F32))
    operands = [a, graph.add_constant(weights, "w"), graph.add_constant(_random(2048), "c")]
    graph.set_outputs([graph.add_node("gemm", operands, OPS["gemm"].attrs(alpha=0.5), names=["y"]).output], ["y"])
    compiled = cnnc.compile(graph, target="cuda:sm_80")
    [step] = compiled.executable.program.steps
    assert step.choices[0].calls[0].variant.kernel == kernel
    if kernel == "gemm.f32.sparse":
        [y] = compiled.session(device=EmulatedDevice()).run(None, {"x": x})
        np.testing.assert_allclose(y, 0.5 * (x.astype(np.float64) @ weights) + _random(2048), atol=1e-4)
