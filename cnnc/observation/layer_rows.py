"""A layer as products of rows: y[g, r, o] = sum over k of x[g, r, k] * w[g, o, k], for each group g.

A row of inputs is what one element of the result reads: for a conv the window, K = C / group * taps. So depthwise and
grouped convs, convs of any rank and matrix products look alike to what chooses weights.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Node
from cnnc.runtime.host.window import numbers, pad_for, resolve_window, tap_view

LAYERS = frozenset({"conv", "gemm", "matmul"})
"""Ops with weights."""

BLOCK = 1536
"""Inputs of a row that are treated together, so that memory and time grow with K * BLOCK where they would with K^2."""


def has_rows(layer: Node) -> bool:
    """Whether the weights are constant and one matrix a group: all but batches of matrices."""
    weights = layer.input(1)
    return weights.array is not None and weights.array.size > 0 and (layer.op == "conv" or weights.type.rank == 2)


def channel_axis(layer: Node) -> int:
    """The axis of output channels in a layer's weights."""
    if layer.op == "conv":
        return 0
    if layer.op == "gemm":
        return 0 if getattr(layer.attrs, "transB", 0) else 1
    return layer.input(1).type.rank - 1


def weight_rows(layer: Node, weights: Array) -> Array:
    """The weights as [G, O, K]; channel g * O + o of the result is row (g, o)."""
    if layer.op == "conv":
        attrs: Any = layer.attrs
        rows: Array = weights.reshape(attrs.group, weights.shape[0] // attrs.group, -1)
        return rows
    return (weights if channel_axis(layer) == 0 else weights.T)[None]


def layer_weights(layer: Node, rows: Array) -> Array:
    """The inverse of ``weight_rows``."""
    if layer.op == "conv":
        shape = layer.input(1).type.shape
        return rows.reshape([size for size in shape if isinstance(size, int)])
    return rows[0] if channel_axis(layer) == 0 else np.ascontiguousarray(rows[0].T)


def input_rows(layer: Node, x: Array, most: int, generator: np.random.Generator) -> Array:
    """Rows [G, R, K] that the layer reads of its input: of each sample ``most`` at random places, or all there are.

    Args:
        x: [N, C, spatial...] for a conv, [..., K] or (gemm with transA) [K, R] for a product.
    """
    if layer.op != "conv":
        matrix = x.T if getattr(layer.attrs, "transA", 0) else x.reshape(-1, x.shape[-1])
        samples = len(x) if x.ndim > 2 else len(matrix)
        return matrix[_chosen(len(matrix), most * samples, generator)][None]
    attrs: Any = layer.attrs
    weights = layer.input(1).array
    assert weights is not None
    window = resolve_window(x.shape[2:], weights.shape[2:], attrs.strides, attrs.dilations, attrs.pads, attrs.auto_pad)
    padded = pad_for(x, window, 0.0)
    output = numbers(window.output)
    # The same places in every sample, in the order of memory: elements of a plane lie together, those of a row do not.
    places = np.unravel_index(_chosen(int(np.prod(output)), most, generator), output)
    at: Any = (slice(None), slice(None), *places)
    taps = list(itertools.product(*(range(size) for size in weights.shape[2:])))
    columns: Array = np.empty((x.shape[1], len(taps), len(x), len(places[0])), x.dtype)
    for index, tap in enumerate(taps):
        columns[:, index] = tap_view(padded, window, tap)[at].swapaxes(0, 1)
    by_group = columns.reshape(attrs.group, x.shape[1] // attrs.group * len(taps), len(x) * len(places[0]))
    return by_group.transpose(0, 2, 1)


def input_blocks(size: int) -> tuple[slice, ...]:
    """The K inputs of a row in parts of at most ``BLOCK``, as equal as can be."""
    count = -(-size // BLOCK)
    ends = [size * index // count for index in range(count + 1)]
    return tuple(slice(begin, end) for begin, end in itertools.pairwise(ends))


def _chosen(count: int, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return np.arange(count) if count <= most else np.sort(generator.choice(count, most, replace=False))
