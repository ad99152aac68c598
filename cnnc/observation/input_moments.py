"""What layers read on samples: mean and second moments of their input rows.

An error D [O, K] of a layer's weights changes its result by D x. Over the rows x that were seen, its mean is D E[x] and
its variance D C D^T, with C = E[x x^T] - E[x] E[x]^T. So these moments are all that weights need be judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Graph, Node
from cnnc.observation.layer_rows import input_blocks, input_rows
from cnnc.observation.observed import Observed, Progress, Samples

ROWS = 32
"""Most rows of a layer that count, for each sample."""

_ROUNDING = 1e-4
"""Share of the mean square of a block's inputs by which sums in float32 may be off, at most, in any direction."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of the rows [G, R, K] that a layer read.

    Attributes:
        mean: E[x], [G, K].
        second: E[x x^T] of each of ``input_blocks``, [G, B, B]. Inputs of different blocks count as unrelated.
    """

    mean: Float64
    second: tuple[Float64, ...]

    @property
    def squares(self) -> Float64:
        """Mean square of each input, [G, K]."""
        return np.concatenate([np.diagonal(part, axis1=1, axis2=2) for part in self.second], axis=1)

    def covariance(self, block: int) -> Float64:
        """C of a block's inputs, [G, B, B], positive definite but where the inputs are 0."""
        second = self.second[block]
        mean = self.mean[:, input_blocks(self.mean.shape[1])[block]]
        size = mean.shape[1]
        ridge = _ROUNDING * np.trace(second, axis1=1, axis2=2) / size
        covariance: Float64 = second - mean[:, :, None] * mean[:, None, :] + ridge[:, None, None] * np.eye(size)
        return covariance


def input_moments(
    graph: Graph, layers: Sequence[Node], samples: Samples, progress: Progress = lambda what, done: None
) -> dict[str, Moments]:
    """Moments of what each layer reads on the samples, by the name of its result. All of ``layers`` have rows.

    Raises:
        InputError: there are no samples, or they do not fit the model's inputs.
    """
    if not layers:
        return {}
    generator = np.random.default_rng(0)
    sums = {layer: _Sums() for layer in layers}
    inputs = list(dict.fromkeys(layer.input(0).name for layer in layers))
    for index, arrays in enumerate(Observed(graph, inputs).batches(samples), start=1):
        for layer, total in sums.items():
            total.add(input_rows(layer, arrays[layer.input(0).name], ROWS, generator))
        progress("moments", index)
    return {layer.output.name: total.moments() for layer, total in sums.items()}


class _Sums:
    """Sums over the rows of one layer. Products are summed in float32, as one matrix product a batch."""

    def __init__(self) -> None:
        self.count = 0
        self.first: Float64 = np.zeros(())
        self.second: list[Array] = []

    def add(self, rows: Array) -> None:
        """Rows [G, R, K] more."""
        self.first = self.first + rows.sum(axis=1, dtype=np.float64)
        parts = [rows[:, :, part] for part in input_blocks(rows.shape[2])]
        products = [np.matmul(part.transpose(0, 2, 1), part) for part in parts]
        self.second = [a + b for a, b in zip(self.second, products)] if self.second else products
        self.count += rows.shape[1]

    def moments(self) -> Moments:
        return Moments(self.first / self.count, tuple(part.astype(np.float64) / self.count for part in self.second))
