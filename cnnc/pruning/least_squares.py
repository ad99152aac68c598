"""Weights that are left take over the work of those that went: least squares, layer by layer.

With t = W x, what a dense layer computes, and z, what its pruned twin reads, the weights of an output channel become

    argmin over w of  E[(t - w z)^2] + r |w - w0|^2       w = 0 where the mask is not set

w0 are the weights with zeros, so that directions of z that the samples do not show stay what they are. r is a share of
the mean power of z: that of ``DAMPINGS`` whose weights, fitted to some of the samples, have the least error on others.
On the kept inputs S this is one system of normal equations for each channel:

    (E[z z^T] + r I)[S, S] w[S] = E[z t][S] + r w0[S]

Where a bias takes up the means, moments become covariances, and the bias grows by E[t] - w E[z].

The error on the samples is never larger than that of w0: w0 is one of those that w is chosen from, and there the second
term is 0. Channels of the same mask, as blocks are, share one factorisation. Layers of more than ``BLOCK`` inputs are
solved block by block, each for its own part of the result: memory and time are bounded, and what inputs of different
blocks could do for each other is left out.

Sources: Hassibi and Stork, Second Order Derivatives for Network Pruning: Optimal Brain Surgeon, NeurIPS 1992, and Dong
et al., Learning to Prune Deep Neural Networks via Layer-wise Optimal Brain Surgeon, NeurIPS 2017 (a layer's error as a
quadratic form of its inputs' moments); He et al., Channel Pruning for Accelerating Very Deep Neural Networks, ICCV
2017, section 3.1 (least squares from what the pruned network's layer reads to what the dense one's gives).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cnnc.observation.layer_rows import input_blocks
from cnnc.pruning.paired_moments import PairedMoments

DAMPINGS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""r, as a share of the mean power of the inputs: the smaller, the more samples are needed."""

_JUDGES = 24
"""Output channels of a group that a damping is chosen by, at most."""

_ROUNDING = 1e-4
"""Share of the inputs' mean square by which sums in float32 may be off, at most, in any direction."""

Bools = NDArray[np.bool_]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Problem:
    """The quadratic form of one block of inputs.

    Attributes:
        second: of z, [G, B, B].
        cross: of z and t, [G, B, O].
        power: of t, [G, O].
        unit: mean power of z, [G, 1, 1], which r is a share of.
        least: what is always added to r, [G, 1, 1].
    """

    second: Float64
    cross: Float64
    power: Float64
    unit: Float64
    least: Float64

    def error(self, rows: Float64) -> Float64:
        """E[(t - w z)^2] of weights [G, O, B], [G, O]."""
        squared = (np.matmul(rows, self.second) * rows).sum(axis=2)
        error: Float64 = self.power - 2 * (rows * self.cross.swapaxes(1, 2)).sum(axis=2) + squared
        return error

    def solution(self, rows: Float64, mask: Bools, damping: float) -> Float64:
        """The weights [G, O, B] that fit best, 0 where ``mask`` [G, O, B] is not set.

        Args:
            rows: w0 before the mask.
            damping: r in units of the inputs' mean power.
        """
        r = damping * self.unit + self.least
        damped = self.second + r * np.eye(self.second.shape[1])
        wanted = self.cross + r * (rows * mask).swapaxes(1, 2)
        found = np.zeros(rows.shape)
        for group, channels, kept in _alike(mask):
            matrix = damped[group][np.ix_(kept, kept)]
            right = wanted[group][np.ix_(kept, channels)]
            found[group][np.ix_(channels, kept)] = np.linalg.solve(matrix, right).T
        return found

    def of_channels(self, channels: slice) -> Problem:
        """The same for some output channels of each group."""
        return replace(self, cross=self.cross[:, :, channels], power=self.power[:, channels])


def problems(moments: PairedMoments, rows: Float64, *, centred: bool) -> list[Problem]:
    """One for each block of inputs.

    Args:
        rows: the dense layer's weights [G, O, K].
        centred: a bias takes up the means.
    """
    made = []
    for index, block in enumerate(input_blocks(rows.shape[2])):
        second, cross, power = moments.second[index], moments.cross[index], moments.power[index]
        least = _ROUNDING * _mean_diagonal(second)
        if centred:
            z = moments.pruned_mean[:, block]
            t = np.matmul(rows[:, :, block], moments.dense_mean[:, block, None])[:, :, 0]
            second = second - z[:, :, None] * z[:, None, :]
            cross = cross - z[:, :, None] * t[:, None, :]
            power = power - np.square(t)
        # Inputs that are all 0 say nothing about their weights, which stay as they are.
        least[least <= 0] = 1.0
        made.append(Problem(second, cross, power, _mean_diagonal(second), least))
    return made


def best_damping(fitted: Problem, judging: Problem, rows: Float64, mask: Bools) -> float:
    """The one of ``DAMPINGS`` whose solution on some samples has the least error on others.

    Args:
        rows: w0 before the mask, [G, O, B].
        mask: [G, O, B].
    """
    some = slice(None, None, -(-rows.shape[1] // _JUDGES))
    fitted, judging, rows, mask = fitted.of_channels(some), judging.of_channels(some), rows[:, some], mask[:, some]
    errors = [float(judging.error(fitted.solution(rows, mask, damping)).sum()) for damping in DAMPINGS]
    return DAMPINGS[int(np.argmin(errors))]


def _mean_diagonal(matrices: Float64) -> Float64:
    mean = np.trace(matrices, axis1=1, axis2=2) / max(matrices.shape[1], 1)
    positive: Float64 = np.maximum(mean, 0.0)[:, None, None]
    return positive


def _alike(mask: Bools) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Channels of a group that keep the same inputs, if any: group, channels, inputs."""
    found = []
    for group, rows in enumerate(mask):
        same: dict[bytes, list[int]] = {}
        for channel, row in enumerate(rows):
            same.setdefault(np.packbits(row).tobytes(), []).append(channel)
        for channels in same.values():
            kept = np.flatnonzero(rows[channels[0]])
            if len(kept):
                found.append((group, np.array(channels), kept))
    return found
