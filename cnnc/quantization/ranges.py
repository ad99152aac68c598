"""The range of an activation, from what was seen of it on samples.

- ``minmax``: from the smallest to the largest element of all samples.
- ``average``: mean of the smallest elements of the samples, and of the largest.
- ``percentile``: that share of the elements, as much cut off above as below.
- ``entropy``: the range whose quantized histogram tells least apart from the original one, by Kullback-Leibler
  divergence (Migacz, 8-bit Inference with TensorRT, GTC 2017).
- ``mse``: the range of the smallest mean squared error of quantized elements.

The last three need a histogram, and so a second pass over the samples, once the first has found the extremes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import ModelError
from cnnc.ir import Array
from cnnc.quantization.affine import LEVELS
from cnnc.quantization.settings import Settings

BINS = 2048
"""Of a histogram between the smallest and the largest element."""

_MOST_CUT = 0.01
"""Share of the elements other than zeros that entropy may cut off. Images have spikes (a background of one value); the
divergence is least where each spike has a step of its own, however much is cut off for it."""

_CANDIDATES = 100
"""Ranges that entropy and mse try, from all of the histogram down to a small share of it."""

Counts = NDArray[np.float64]
Range = tuple[float, float]


@dataclass
class Extremes:
    """Smallest and largest element, of each sample and of all; the first pass."""

    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)

    def see(self, array: Array, name: str) -> None:
        """One batch [N, ...]: every sample of it counts.

        Raises:
            ModelError: an element is infinite or NaN.
        """
        if array.size == 0:
            return
        samples = array.reshape(array.shape[0] if array.ndim else 1, -1)
        low, high = samples.min(axis=1), samples.max(axis=1)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ModelError(
                "it is infinite or NaN on the calibration data, and has no range",
                where=f"tensor {name!r}",
                hint="check the preprocessing of the data; cnnc run --capture shows the tensor",
            )
        self.lows += low.astype(float).tolist()
        self.highs += high.astype(float).tolist()

    @property
    def range(self) -> Range:
        """Of all samples; (0, 0) where nothing was seen."""
        return min(self.lows, default=0.0), max(self.highs, default=0.0)

    @property
    def average(self) -> Range:
        """Means over the samples."""
        return (float(np.mean(self.lows)), float(np.mean(self.highs))) if self.lows else (0.0, 0.0)


@dataclass
class Histogram:
    """How many elements lie in each of ``BINS`` equal parts of ``range``; the second pass."""

    range: Range
    counts: Counts = field(default_factory=lambda: np.zeros(BINS))

    def see(self, array: Array) -> None:
        """One batch."""
        low, high = self.range
        if high > low:
            self.counts += np.histogram(array.astype(np.float64).reshape(-1), BINS, self.range)[0]

    @property
    def edges(self) -> Counts:
        """Of the bins, one more than there are bins."""
        return np.linspace(*self.range, BINS + 1)


def needs_histogram(settings: Settings) -> bool:
    """Whether the method makes a second pass over the data."""
    return settings.method in ("percentile", "entropy", "mse")


def chosen_range(extremes: Extremes, histogram: Histogram | None, settings: Settings) -> Range:
    """The range by the method of the settings."""
    if settings.method == "average":
        return extremes.average
    if histogram is None or not histogram.counts.any():
        return extremes.range
    if settings.method == "percentile":
        return _percentile(histogram, settings.percentile)
    return _best(histogram, _divergence if settings.method == "entropy" else _squared_error)


def _percentile(histogram: Histogram, percentile: float) -> Range:
    shares = np.cumsum(histogram.counts) / histogram.counts.sum()
    outside = (100 - percentile) / 200
    edges = histogram.edges
    first = int(np.searchsorted(shares, outside, side="right"))
    last = int(np.searchsorted(shares, 1 - outside, side="left"))
    return float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1])


def _best(histogram: Histogram, loss: Callable[[Histogram, Range], float]) -> Range:
    """The candidate of the smallest loss; of equal ones the widest."""
    return min(_candidates(histogram.range), key=lambda candidate: loss(histogram, candidate))


def _candidates(whole: Range) -> Iterator[Range]:
    """Ranges that hold 0: both ends move in by the same share, an end at 0 stays."""
    low, high = min(whole[0], 0.0), max(whole[1], 0.0)
    for step in range(_CANDIDATES, 4, -1):
        share = step / _CANDIDATES
        yield low * share, high * share


def _squared_error(histogram: Histogram, candidate: Range) -> float:
    """Sum over the bins of the squared distance between centre and quantized centre."""
    centres = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    return float(histogram.counts @ np.square(centres - _quantized(centres, candidate)))


def _quantized(values: Counts, candidate: Range) -> Counts:
    low, high = candidate
    scale = (high - low) / LEVELS
    if scale <= 0:
        return np.zeros_like(values)
    zero_point = np.rint(-low / scale)
    restored: Counts = (np.clip(np.rint(values / scale) + zero_point, 0, LEVELS) - zero_point) * scale
    return restored


def _divergence(histogram: Histogram, candidate: Range) -> float:
    """Kullback-Leibler divergence of the quantized distribution from the original, clipped to the candidate.

    What lies outside counts for the outermost bins inside. Quantized, the bins of one step share its elements evenly
    among those that are not empty.
    """
    low, high = candidate
    centres = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    inside = (centres >= low) & (centres <= high)
    if not inside.any() or high <= low:
        return np.inf
    counts = histogram.counts.copy()
    # Zeros that ReLU made are stored exactly by every candidate, and would hide what clipping does to the others.
    counts[np.argmin(np.abs(centres))] = 0
    if counts[~inside].sum() > _MOST_CUT * counts.sum():
        return np.inf
    if not counts.any():
        return 0.0
    reference = counts[inside].copy()
    reference[0] += counts[centres < low].sum()
    reference[-1] += counts[centres > high].sum()
    steps = np.rint((centres[inside] - low) / (high - low) * LEVELS).astype(np.int64)
    clipped = counts[inside]
    used = clipped > 0
    sums = np.bincount(steps, weights=clipped, minlength=LEVELS + 1)
    shares = np.bincount(steps, weights=used, minlength=LEVELS + 1)
    even = np.where(used, sums[steps] / np.maximum(shares[steps], 1), 0.0)
    p, q = reference / reference.sum(), even / max(even.sum(), 1.0)
    known = (p > 0) & (q > 0)
    # Elements that the quantized distribution has no place for: as unlikely as one of all.
    lost = (p > 0) & ~known
    floor = 1.0 / counts.sum()
    return float(np.sum(p[known] * np.log(p[known] / q[known])) + np.sum(p[lost] * np.log(p[lost] / floor)))
