"""What a layer reads in a pruned network, beside what it computes in the dense one.

Let x be an input row of a layer with weights W in the dense network, and z the row at the same place of the same sample
in the pruned one: other than x, because layers in front were pruned. To give W x by other weights of z, all one needs
is E[z z^T] and E[z (W x)^T].
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Node
from cnnc.observation.layer_rows import input_blocks, input_rows, weight_rows

ROWS = 64
"""Most rows of a layer that count, for each sample."""

HELD_OUT = 4
"""One of so many samples does not take part in a fit that it judges."""

_SAME = 1e-5
"""Inputs that differ by no more than this share of the largest one are the same but for rounding."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairedMoments:
    """Moments over the rows of one layer. Inputs of different ``input_blocks`` count as unrelated.

    Attributes:
        count: rows.
        differs: whether any z is another than x, beyond rounding.
        dense_mean, pruned_mean: E[x] and E[z], [G, K].
        second: E[z z^T] of each block, [G, B, B].
        cross: E[z t^T] of each block, [G, B, O], with t = W x over the block's inputs.
        power: E[t^2] of each block, [G, O].
    """

    count: int
    differs: bool
    dense_mean: Float64
    pruned_mean: Float64
    second: tuple[Float64, ...]
    cross: tuple[Float64, ...]
    power: tuple[Float64, ...]

    def joined(self, other: PairedMoments) -> PairedMoments:
        """Moments over the rows of both."""
        share = self.count / max(self.count + other.count, 1)

        def mean(one: Float64, two: Float64) -> Float64:
            both: Float64 = share * one + (1 - share) * two
            return both

        return PairedMoments(
            self.count + other.count,
            self.differs or other.differs,
            mean(self.dense_mean, other.dense_mean),
            mean(self.pruned_mean, other.pruned_mean),
            tuple(map(mean, self.second, other.second)),
            tuple(map(mean, self.cross, other.cross)),
            tuple(map(mean, self.power, other.power)),
        )


def paired_moments(layer: Node, inputs: Iterable[tuple[Array, Array]]) -> tuple[PairedMoments, PairedMoments]:
    """Moments of a layer with rows: over most samples, and over every ``HELD_OUT``-th, which may be none.

    Args:
        layer: of the dense network.
        inputs: what it reads in both networks, batch by batch: the dense one's and the pruned one's.
    """
    array = layer.input(1).array
    assert array is not None
    weights = weight_rows(layer, array).astype(np.float32)
    most, held_out = _Sums(weights), _Sums(weights)
    # The same seed twice: the same places are drawn.
    draw, again = np.random.default_rng(0), np.random.default_rng(0)
    samples = 0
    for dense, pruned in inputs:
        x, z = input_rows(layer, dense, ROWS, draw), input_rows(layer, pruned, ROWS, again)
        # Rows of a sample lie together.
        sample = samples + np.arange(x.shape[1]) * len(dense) // max(x.shape[1], 1)
        samples += len(dense)
        spared = sample % HELD_OUT == HELD_OUT - 1
        most.add(x[:, ~spared], z[:, ~spared])
        held_out.add(x[:, spared], z[:, spared])
    return most.moments(), held_out.moments()


class _Sums:
    """Sums over rows; products are summed in float32 over a batch, and in float64 over batches."""

    def __init__(self, weights: Array) -> None:
        groups, outputs, inputs = weights.shape
        self._weights = weights
        self._blocks = input_blocks(inputs)
        sizes = [block.stop - block.start for block in self._blocks]
        self._count = 0
        self._differs = False
        self._dense, self._pruned = np.zeros((groups, inputs)), np.zeros((groups, inputs))
        self._second = [np.zeros((groups, size, size)) for size in sizes]
        self._cross = [np.zeros((groups, size, outputs)) for size in sizes]
        self._power = [np.zeros((groups, outputs)) for _ in sizes]

    def add(self, x: Array, z: Array) -> None:
        """Rows [G, R, K] of both networks more."""
        self._count += x.shape[1]
        apart = np.abs(np.subtract(x, z)).max(initial=0.0)
        self._differs = self._differs or bool(apart > _SAME * np.abs(x).max(initial=0.0))
        self._dense += x.sum(axis=1, dtype=np.float64)
        self._pruned += z.sum(axis=1, dtype=np.float64)
        for index, block in enumerate(self._blocks):
            part: NDArray[Any] = z[:, :, block]
            turned = part.transpose(0, 2, 1)
            target: NDArray[Any] = np.matmul(x[:, :, block], self._weights[:, :, block].transpose(0, 2, 1))
            self._second[index] += np.matmul(turned, part)
            self._cross[index] += np.matmul(turned, target)
            self._power[index] += np.square(target).sum(axis=1, dtype=np.float64)

    def moments(self) -> PairedMoments:
        count = max(self._count, 1)
        return PairedMoments(
            self._count,
            self._differs,
            self._dense / count,
            self._pruned / count,
            tuple(part / count for part in self._second),
            tuple(part / count for part in self._cross),
            tuple(part / count for part in self._power),
        )
