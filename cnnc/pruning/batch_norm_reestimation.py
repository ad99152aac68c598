"""Statistics of batch normalizations, taken anew from what they read in the pruned network.

With mean m and deviation d of a channel's input y in the dense network on the samples, and m' and d' of its input y' in
the pruned one, the stored statistics become

    deviation' = deviation * s        mean' = m' - (m - mean) * s        s = d' / d

after which the channel's results have the mean and the deviation again that they had in the dense network. Where the
samples are as the training data were, m is the stored mean and d the stored deviation, and these are m' and d', the
statistics of the pruned network; else what the samples are off by is left out. An unpruned network stays as it is.

A layer whose normalization is folded away has no statistics: its weights are divided by s instead, and its bias becomes
m - (m' - bias) / s.

Normalizations come in the order of the graph, each on what those in front of it make of the samples now.

Source: Frantar and Alistarh, Optimal Brain Compression, NeurIPS 2022, section 6 (statistics corrected after pruning);
Sun et al., Hybrid 8-bit Floating Point (HFP8) Training and Inference for Deep Neural Networks, NeurIPS 2019, section
3.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Graph, Node, Value
from cnnc.observation.layer_rows import layer_weights, weight_rows

MOST = 10.0
"""Largest s, and the inverse of the smallest: beyond it, samples say little about the channel."""

Float64 = NDArray[np.float64]


def reestimate(graph: Graph, node: Node, inputs: Iterable[tuple[Array, Array]]) -> None:
    """Set the statistics of a batch normalization of the pruned ``graph``.

    Args:
        node: one that ``has_statistics``.
        inputs: what it reads, [N, C, ...] in the dense network and in the pruned one, batch by batch.
    """
    means, variances = _moments(inputs, 1)
    mean, variance = _array(node, 3), _array(node, 4)
    ratio = deviation_ratio(*variances)
    epsilon = node.attrs.epsilon  # type: ignore[attr-defined]
    shifted = means[1] - (means[0] - mean) * ratio
    scaled = np.maximum((variance + epsilon) * np.square(ratio) - epsilon, 0.0)
    graph.set_constant(node.input(3), shifted.astype(mean.dtype))
    graph.set_constant(node.input(4), scaled.astype(variance.dtype))


def correct_channels(graph: Graph, layer: Node, results: Iterable[tuple[Array, Array]]) -> None:
    """Set weights and bias of a layer of the pruned ``graph`` whose normalization is folded into them.

    Args:
        layer: one that can be ``fitted`` and has a bias of its own.
        results: of the layer in the dense network and in the pruned one, batch by batch.
    """
    means, variances = _moments(results, 1 if layer.op == "conv" else -1)
    weights, bias = _array(layer, 1), _array(layer, 2)
    ratio = deviation_ratio(*variances)
    rows = weight_rows(layer, weights).astype(np.float64)
    scaled = rows / ratio.reshape(*rows.shape[:2], 1)
    shifted = means[0] - (means[1] - bias.reshape(-1)) / ratio
    graph.set_constant(layer.input(1), layer_weights(layer, scaled.astype(weights.dtype)))
    graph.set_constant(layer.input(2), shifted.astype(bias.dtype).reshape(bias.shape))


def has_statistics(graph: Graph, node: Node) -> bool:
    """Whether a batch normalization's mean and variance are constants of its own."""
    if node.attrs.training_mode or node.input(0).type.rank < 2:  # type: ignore[attr-defined]
        return False
    return all(_is_own(graph, node.input(position)) for position in (3, 4))


def _is_own(graph: Graph, value: Value) -> bool:
    return value.array is not None and len(value.uses) == 1 and not graph.is_output(value)


def _array(node: Node, position: int) -> Array:
    array = node.input(position).array
    assert array is not None
    return array


def _moments(pairs: Iterable[tuple[Array, Array]], axis: int) -> tuple[Float64, Float64]:
    """Mean and variance [2, C] of two values, batch by batch, with C along ``axis``."""
    count, first, second = 0, np.zeros(()), np.zeros(())
    for pair in pairs:
        both = [np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in pair]
        first = first + np.stack([x.sum(1, dtype=np.float64) for x in both])
        second = second + np.stack([np.square(x, dtype=np.float64).sum(1) for x in both])
        count += both[0].shape[1]
    mean = first / max(count, 1)
    return mean, np.maximum(second / max(count, 1) - np.square(mean), 0.0)


def deviation_ratio(dense: Float64, pruned: Float64) -> Float64:
    """s of channels with these variances [C]; 1 where a result does not vary."""
    varies = (dense > 0) & (pruned > 0)
    ratio = np.sqrt(np.divide(pruned, dense, out=np.ones_like(dense), where=varies))
    return np.clip(ratio, 1 / MOST, MOST)
