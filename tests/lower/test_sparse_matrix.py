"""Which matrix products run on packed sparse weights, why others do not, and what programs of them compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import compile_graph, optimise_graph
from cnnc.ir import Graph, Notes
from cnnc.lower import ProgramBuilder, lower
from cnnc.lower.builder import Decision
from cnnc.lower.candidates import tiled_rules
from cnnc.lower.layer import layer_key, single_layer
from cnnc.lower.selection import Candidate, LayerTiming, Selection
from cnnc.ops import OPS
from cnnc.ops.linear import GemmAttrs
from cnnc.ops.quantized import QLinearGemmAttrs
from cnnc.options import Options
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target
from cnnc.runtime.session import InferenceSession
from cnnc.types import DType, TensorType
from tests.numeric.tolerance import additions, assert_close

LISTS, MASKS = "gemm.f32.sparse_lists", "gemm.f32.sparse_masks"
ROWS = "gemm.f32.sparse_rows"
BYTE_LISTS, BYTE_MASKS, BYTE_ROWS = "gemm.u8.sparse_lists", "gemm.u8.sparse_masks", "gemm.u8.sparse_rows"
AVX512, AVX2 = x86_target("avx512", frozenset({"avx512_vnni"})), x86_target("avx2")


def pruned(inner: int, columns: int, density: float, group: int = 1, seed: int = 0) -> np.ndarray[Any, Any]:
    """Weights [inner, columns] of which ``group`` neighbouring columns are zero together."""
    rng = np.random.default_rng(seed)
    kept = rng.random((inner, -(-columns // group))) < density
    return rng.standard_normal((inner, columns), np.float32) * np.repeat(kept, group, axis=1)[:, :columns]


def product(weights: np.ndarray[Any, Any], rows: int = 1, **attrs: Any) -> Graph:
    """relu-less gemm with a bias."""
    graph = Graph(OPS, "product")
    inner, columns = weights.shape[::-1] if attrs.get("transB") else weights.shape
    x = graph.add_input("x", TensorType((inner, rows) if attrs.get("transA") else (rows, inner), DType.F32))
    bias = np.linspace(-1, 1, columns, dtype=np.float32)
    operands = [x, graph.add_constant(weights, "w"), graph.add_constant(bias, "bias")]
    graph.set_outputs([graph.add_node("gemm", operands, GemmAttrs(**attrs), names=["y"]).output], ["y"])
    return graph


def byte_product(weights: np.ndarray[Any, Any], rows: int = 1) -> Graph:
    """A q_linear_gemm of uint8 with int8 weights [inner, columns]."""
    graph = Graph(OPS, "bytes")
    inner, columns = weights.shape
    x = graph.add_input("x", TensorType((rows, inner), DType.U8))
    constants = {
        "x_scale": np.float32(0.01), "x_zero": np.uint8(7), "w": weights, "w_scale": np.full(columns, 0.01, np.float32),
        "w_zero": np.zeros(columns, np.int8), "bias": np.arange(columns, dtype=np.int32), "y_scale": np.float32(0.5),
        "y_zero": np.uint8(90),
    }  # fmt: skip
    operands = [x, *(graph.add_constant(np.asarray(array), name) for name, array in constants.items())]
    graph.set_outputs([graph.add_node("q_linear_gemm", operands, QLinearGemmAttrs(), names=["y"]).output], ["y"])
    return graph


def decided(graph: Graph, target: Target = AVX512) -> Decision:
    """How the graph's product is lowered."""
    optimise_graph(graph, Options(), Notes(), target=target)
    [found] = [item for item in lower(graph, target).decisions if item.op != "dims"]
    return found


def reason(found: Decision, name: str) -> str:
    assert found.chosen != name
    [said] = [why for rule, why in found.refused if rule == name]
    return said


@pytest.mark.parametrize("columns", [1000, 1003])
@pytest.mark.parametrize(
    ("density", "group", "chosen"),
    [
        (0.05, 1, LISTS),
        (0.1, 1, LISTS),
        (0.4, 1, MASKS),
        (0.6, 1, MASKS),
        (0.1, 4, LISTS),
        (0.3, 4, LISTS),
        (0.95, 1, "gemm.f32"),
    ],
)
def test_weights_decide(columns: int, density: float, group: int, chosen: str) -> None:
    """Of a large layer whose weights come from memory."""
    found = decided(product(pruned(9216, columns, density, group)))
    assert found.chosen == chosen
    if chosen == LISTS:
        assert found.candidates[0].tiling.group == group


def test_several_rows_are_vectors() -> None:
    assert decided(product(pruned(4096, 1000, 0.1), rows=16)).chosen == ROWS
    assert decided(byte_product(np.sign(pruned(4096, 1000, 0.02)).astype(np.int8), rows=16)).chosen == BYTE_ROWS
    assert "is estimated to take" in reason(decided(product(pruned(4096, 1000, 0.1))), ROWS)


def test_sparse_products_must_be_worth_it() -> None:
    assert "95% of its weights are not zero" in reason(decided(product(pruned(512, 1000, 0.95))), LISTS)
    assert "is estimated to take" in reason(decided(product(pruned(512, 1000, 0.6))), LISTS)
    assert "is estimated to take" in reason(decided(product(pruned(9216, 1000, 0.1), rows=200)), LISTS)
    assert reason(decided(product(pruned(64, 10, 0.1))), LISTS)  # too small for one more kernel


def test_masks_need_vectors_of_16_lanes() -> None:
    assert "no instruction that spreads weights" in reason(decided(product(pruned(9216, 1000, 0.3)), AVX2), MASKS)
    assert decided(product(pruned(9216, 1000, 0.1)), AVX2).chosen == LISTS


def test_transposed_inputs_are_refused() -> None:
    assert "transposed" in reason(decided(product(pruned(9216, 1000, 0.1), rows=2, transA=1)), LISTS)


def test_positions_of_masks_have_16_bits() -> None:
    graph = product(pruned(70_000, 32, 0.3))
    assert "beyond 65536" in reason(decided(graph), MASKS)


def test_levels_without_rounding_freedom_keep_dense_products() -> None:
    graph = product(pruned(9216, 1000, 0.1))
    [found] = compile_graph(graph, Options(level=1)).lowered.decisions
    assert reason(found, LISTS) == "its sums are float64 at this level"


@pytest.mark.parametrize(("density", "chosen"), [(0.01, BYTE_LISTS), (0.1, BYTE_MASKS), (0.9, "gemm.u8")])
def test_words_of_bytes_decide(density: float, chosen: str) -> None:
    weights = np.sign(pruned(25088, 1000, density)).astype(np.int8)
    found = decided(byte_product(weights))
    assert found.chosen == chosen
    if chosen == "gemm.u8":
        assert "groups of four weights are not zero" in reason(found, BYTE_LISTS)


def forced(graph: Graph, name: str, **changes: int) -> InferenceSession:
    """A session of the graph with its product lowered by rule ``name``."""
    target = host_target()
    optimise_graph(graph, Options(), Notes(), target=target)
    [node] = graph.nodes
    layer = single_layer(node)
    [twin] = layer.nodes
    [(cost, tiling), *_] = tiled_rules(target)[name].tilings(twin, ProgramBuilder(layer, target), 1)
    candidate = Candidate(name, dataclasses.replace(tiling, **changes), cost)
    lowered = lower(graph, target, Selection({layer_key(node, target): LayerTiming((candidate,), (0.0,), 0)}))
    assert lowered.decisions[0].chosen == name
    return InferenceSession(lowered.executable)


def tilings(name: str) -> Sequence[dict[str, int]]:
    if name in (LISTS, BYTE_LISTS):
        return [{"group": 1}, {"group": 4}]
    if name in (ROWS, BYTE_ROWS):
        return [{"vectors": 1, "share": 1, "oc_blocks": 3}, {"vectors": 2, "share": 2, "part_groups": 1}]
    return [{"rows": 1, "blocks": 1, "m_tiles": 9}, {"rows": 3, "blocks": 2, "m_tiles": 1}]


@pytest.mark.jit
@pytest.mark.parametrize("name", [LISTS, MASKS, ROWS])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 0.5])
@pytest.mark.parametrize("group", [1, 4])
def test_results_are_those_of_the_reference(name: str, density: float, group: int) -> None:
    if name == MASKS and host_target().lanes != 16:
        pytest.skip("masks are of 16 lanes")
    for rows, inner, columns in ((1, 700, 131), (5, 65, 18), (37, 30, 9), (1, 3, 1)):
        weights = pruned(inner, columns, density, group)
        weights[:, columns // 2] = 0
        x = np.random.default_rng(1).standard_normal((rows, inner)).astype(np.float32)
        for changes in tilings(name):
            graph = product(np.ascontiguousarray(weights.T), rows, transB=1, alpha=0.5)
            truth, sums = interp.run(graph, {"x": x}, float64=True), additions(graph, {})
            [got] = forced(graph, name, **changes).run(None, {"x": x})
            assert_close({"y": got}, truth, sums)


@pytest.mark.jit
@pytest.mark.parametrize("name", [BYTE_LISTS, BYTE_MASKS, BYTE_ROWS])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.2])
def test_bytes_are_those_of_the_reference(name: str, density: float) -> None:
    if name == BYTE_MASKS and host_target().lanes != 16:
        pytest.skip("masks are of 16 lanes")
    for rows, inner, columns in ((1, 601, 131), (5, 64, 18), (37, 30, 9), (1, 19, 5)):
        weights = (100 * pruned(inner, columns, density).clip(-1, 1)).astype(np.int8)
        x = np.random.default_rng(2).integers(0, 256, (rows, inner)).astype(np.uint8)
        for changes in tilings(name):
            graph = byte_product(weights, rows)
            [expected] = interp.run(graph, {"x": x}).values()
            [got] = forced(graph, name, **changes).run(None, {"x": x})
            np.testing.assert_array_equal(got, expected)
