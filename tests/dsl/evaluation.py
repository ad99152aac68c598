"""Runs functions and modules of the language on arrays: traced, then interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc import dsl, interp
from cnnc.ir import Array, Graph, verify


def graph_of(network: dsl.Network, *arrays: Array, open_batch: bool = False) -> Graph:
    """The graph of a network for inputs of these arrays' shapes; axis 0 is left open on request."""
    return _model(network, arrays, open_batch).graph()


def evaluate(network: dsl.Network, *arrays: Array, open_batch: bool = False) -> Any:
    """What the network makes of the arrays: an array, or a list of them."""
    graph = graph_of(network, *arrays, open_batch=open_batch)
    verify(graph)
    results = interp.run(graph, {f"x{index}": array for index, array in enumerate(arrays)})
    for name, value in zip(graph.output_names, graph.outputs):
        if not open_batch:
            assert results[name].shape == value.type.shape
        assert results[name].dtype == value.type.dtype.numpy
    found = list(results.values())
    return found[0] if len(found) == 1 else found


def _model(network: dsl.Network, arrays: tuple[Array, ...], open_batch: bool) -> dsl.Model:
    def shape(array: Array) -> tuple[int | str, ...]:
        return ("N", *array.shape[1:]) if open_batch else array.shape

    inputs = {f"x{index}": dsl.Input(*shape(array), dtype=array.dtype.name) for index, array in enumerate(arrays)}
    # A function of its own takes its inputs by position, whatever their names.
    return dsl.model(lambda *tensors: network(*tensors), inputs)


def random(*shape: int, seed: int = 0) -> Array:
    """Normally distributed float32."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def close(got: Array, wanted: Array, *, atol: float = 1e-5) -> None:
    """Equal shapes, and values up to the rounding of float32."""
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted.astype(np.float64), rtol=1e-5, atol=atol)
