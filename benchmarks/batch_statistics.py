"""Numbers for networks that were never trained, such that what flows through them stays in the range of trained ones.

Weights are drawn with variance 2 / fan-in, which keeps the variance through a convolution and ReLU, but the sums of a
deep residual network would double it in every block. Batch normalization prevents that in a trained network, because
its statistics are those of its own input. Here a batch of made-up samples flows through the network for the same end.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from cnnc.dsl import Model
from cnnc.ir import Array, Node, Value
from cnnc.runtime import host
from cnnc.sample_inputs import sample_inputs

SAMPLES = 4
"""With one, the next sample's channel means lie outside of what the statistics know, and sums grow after all."""


def give_statistics(model: Model, seed: int = 0) -> None:
    """Every batch normalization of the model gets the statistics of its own input, and a gain and bias near 1 and 0.

    Means are those of each channel; variances lie half-way between the channel's and the layer's, so that none is 0
    where a channel is a single pixel. Gains are drawn from 1 +- 0.2, biases from 0 +- 0.1 (normal distributions), where
    they are parameters.

    Args:
        model: its parameters are set.
        seed: of the samples and of gains and biases.
    """
    generator = np.random.default_rng(seed)
    shapes = {name: (SAMPLES, *given.shape[1:]) for name, given in model.inputs.items()}
    graph = model.graph(shapes)
    feeds = sample_inputs(graph, seed)
    arrays: dict[Value, Array] = {value: feeds[value.name] for value in graph.inputs}
    readers = Counter(value for node in graph.nodes for value in node.inputs if value is not None)
    for node in graph.nodes:
        operands = [_read(arrays, value) for value in node.inputs]
        if node.op == "batch_normalization":
            for index, array in enumerate(_statistics(operands[0], generator), start=1):
                name = node.input(index).name
                if name in model.parameters:
                    model.set(name, array)
                    operands[index] = array
        for value, array in zip(node.outputs, _call(node, operands)):
            arrays[value] = array
        readers.subtract(value for value in node.inputs if value is not None)
        for value in node.inputs:
            if value is not None and not readers[value]:
                arrays.pop(value, None)


def _statistics(x: Array, generator: np.random.Generator) -> list[Array]:
    """Gain, bias, mean and variance, each [C], for x [N, C, ...]."""
    axes = (0, *range(2, x.ndim))
    channels = x.shape[1]
    gain = 1 + 0.2 * generator.standard_normal(channels)
    bias = 0.1 * generator.standard_normal(channels)
    variance = 0.5 * (x.var(axes) + x.var())
    return [array.astype(np.float32) for array in (gain, bias, x.mean(axes), variance)]


def _read(arrays: dict[Value, Array], value: Value | None) -> Array | None:
    if value is None:
        return None
    return arrays[value] if value.array is None else value.array


def _call(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    result = host.function(node.op)(*operands, **node.attrs.keywords())
    return result if isinstance(result, tuple) else (result,)
