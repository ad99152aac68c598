"""Matrix products of small graphs on the emulated device: which kernel and tile they get, and what they compute."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc.dims import symbol
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.runtime.cuda.device_facts import A100
from cnnc.runtime.cuda.gemm_tiling import MatmulTile, rank_few_rows, rank_matmul
from cnnc.types import DType, TensorType
from tests.cuda.devices import program_device


def _random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def _gemm(rows, columns, depth, *, bias=True, **attrs):
    """A graph of one gemm with constant weights, and what it computes of x."""
    graph = Graph(OPS)
    transposed = attrs.get("transA", 0)
    x = graph.add_input("x", TensorType((depth, rows) if transposed else (rows, depth), DType.F32))
    w, c = _random(columns, depth) if attrs.get("transB") else _random(depth, columns), _random(columns)
    operands = [x, graph.add_constant(w, "w"), *([graph.add_constant(c, "c")] if bias else [])]
    y = graph.add_node("gemm", operands, OPS["gemm"].attrs(**attrs), names=["y"]).output
    graph.set_outputs([y], ["y"])

    def product(x):
        left, right = x.T if transposed else x, w.T if attrs.get("transB") else w
        return attrs.get("alpha", 1) * (left.astype(np.float64) @ right) + attrs.get("beta", 1) * bias * c

    return graph, product


def _check(graph, cases, kernels):
    """``cases``: inputs and what is expected. ``kernels``: of the only step, one of each choice."""
    pytest.importorskip("numba_cuda")
    compiled = cnnc.compile(graph, target="cuda:sm_80")
    [step] = compiled.executable.program.steps
    assert [choice.calls[0].variant.kernel for choice in step.choices] == kernels
    session = compiled.session(device=program_device())
    for inputs, expected in cases:
        [y] = session.run(None, inputs)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "attrs"),
    [
        ((1, 10, 84), {"transB": 1}),
        ((3, 17, 50), {"alpha": 0.5, "beta": 2.0}),
        ((2, 9, 33), {"transA": 1}),
        ((1, 5, 30001), {"bias": False}),
    ],
)
def test_few_rows(sizes, attrs):
    graph, product = _gemm(*sizes, **attrs)
    x = _random(*(sizes[2], sizes[0]) if attrs.get("transA") else (sizes[0], sizes[2]))
    _check(graph, [({"x": x}, product(x))], ["gemm.f32.few_rows"])


@pytest.mark.parametrize(("columns", "many"), [(12, "matmul.f32"), (24, "conv.f32.implicit_gemm")])
def test_any_number_of_rows(columns, many):
    graph, product = _gemm(symbol("N"), columns, 40)
    cases = [({"x": x}, product(x)) for x in (_random(rows, 40) for rows in (1, 3, 11))]
    _check(graph, cases, ["gemm.f32.few_rows", "gemm.f32.few_rows", many])


def test_many_rows_of_whole_blocks():
    graph, product = _gemm(70, 40, 64, transB=1, alpha=0.5)
    x = _random(70, 64)
    _check(graph, [({"x": x}, product(x))], ["conv.f32.implicit_gemm"])


@pytest.mark.parametrize("attrs", [{"transB": 1}, {"transA": 1, "alpha": 2.0}])
def test_many_rows(attrs):
    graph, product = _gemm(45, 37, 50, **attrs)
    x = _random(50, 45) if "transA" in attrs else _random(45, 50)
    _check(graph, [({"x": x}, product(x))], ["matmul.f32"])


def test_two_matrices():
    graph = Graph(OPS)
    a = graph.add_input("a", TensorType((2, symbol("H"), 20, 9), DType.F32))
    b = graph.add_input("b", TensorType((symbol("H"), 9, 12), DType.F32))
    graph.set_outputs([graph.add_node("matmul", [a, b], OPS["matmul"].attrs(), names=["y"]).output], ["y"])
    inputs = {"a": _random(2, 3, 20, 9), "b": _random(3, 9, 12)}
    _check(graph, [(inputs, inputs["a"].astype(np.float64) @ inputs["b"])], ["matmul.f32"])


def test_tiles_follow_from_sizes():
    def few_rows(rows, columns, depth):
        return rank_few_rows(rows, columns, depth, A100)[0][1]

    assert few_rows(1, 4096, 25088).splits == 1
    assert few_rows(1, 10, 4096).parts == 8
    assert few_rows(4, 16, 100_000).splits > 1
    assert few_rows(5, 1000, 2048).rows == 8
    assert rank_matmul(1, 4096, 4096, 4096, A100)[0][1] == MatmulTile(8, 16)
    assert rank_matmul(1, 64, 64, 64, A100)[0][1] == MatmulTile(4, 8)
