"""Exports a graph, checks the model, runs it in onnxruntime, and judges the results by the interpreter's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime

from cnnc import interp
from cnnc.dims import symbols
from cnnc.export import export_graph
from cnnc.ir import Array, Graph
from cnnc.sample_inputs import sample_inputs
from tests.numeric.tolerance import OWN_ERRORS, additions, bound


def exported(graph: Graph, **options: Any) -> onnx.ModelProto:
    """The model, which passes ONNX's checker, shape inference included."""
    model = export_graph(graph, **options)
    onnx.checker.check_model(model, full_check=True)
    return model


def open_session(model: onnx.ModelProto | str, *, fuse: bool = False) -> onnxruntime.InferenceSession:
    """A session that runs the model node by node, unless it may fuse: what stands between dequantize and quantize."""
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if fuse else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    source = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run_onnxruntime(
    model: onnx.ModelProto | str, feeds: Mapping[str, Array], *, fuse: bool = False
) -> dict[str, Array]:
    """Results by output name."""
    session = open_session(model, fuse=fuse)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def check_results(
    graph: Graph, seed: int = 0, sizes: Mapping[str, int] | None = None, **options: Any
) -> onnx.ModelProto:
    """Export the graph and check that onnxruntime computes what the interpreter does; returns the model.

    Integers must be equal. Floats may be as far from their float64 values as rounding explains, and as far as the
    interpreter's own float32 results are, times the factor of the table of tolerances.
    """
    model = exported(graph, **options)
    feeds = sample_inputs(graph, seed, sizes)
    results = run_onnxruntime(model, feeds)
    truth, mine = interp.run(graph, feeds, float64=True), interp.run(graph, feeds)
    count = additions(graph, {**_sizes(graph, feeds), **(sizes or {})})
    assert list(results) == list(graph.output_names)
    for name, got in results.items():
        assert got.dtype == mine[name].dtype and got.shape == mine[name].shape
        if got.dtype.kind != "f":
            np.testing.assert_array_equal(got, mine[name])
            continue
        allowed = bound(got, truth[name], count) + OWN_ERRORS * _distance(mine[name], truth[name])
        assert _distance(got, truth[name]) <= allowed, name
    return model


def _sizes(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, int]:
    sizes = {}
    for value in graph.inputs:
        for dim, size in zip(value.type.shape, feeds[value.name].shape):
            for symbol in symbols(dim):
                sizes[symbol] = size
    return sizes


def _distance(a: Array, b: Array) -> float:
    with np.errstate(invalid="ignore"):
        difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return float(np.max(difference[np.isfinite(difference)], initial=0.0))
