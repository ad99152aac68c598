"""Signal-to-noise ratios of a model's results.

The ratio of a result x that becomes y is sum(x^2) / sum((x - y)^2), in dB ten times its decimal logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cnnc.ir import Array

SAMPLES = 32
"""Noise powers are means over many elements: so many samples give them within a dB."""


@dataclass
class Power:
    """Sums over all samples: of the squares of a result, and of the squares of what was added to it."""

    signal: float = 0.0
    noise: float = 0.0

    def see(self, exact: Array, got: Array) -> None:
        """Results of one batch."""
        wide = exact.astype(np.float64)
        self.signal += float(np.sum(np.square(wide)))
        self.noise += float(np.sum(np.square(wide - got.astype(np.float64))))

    @property
    def ratio(self) -> float:
        """Noise to signal; 0 where there is no noise."""
        return self.noise / self.signal if self.signal > 0 else float(self.noise > 0)


def decibels(noise_to_signal: float) -> float:
    """The signal-to-noise ratio in dB; infinite without noise."""
    return -10 * math.log10(noise_to_signal) if noise_to_signal > 0 else math.inf


def first_batches(batches: Iterable[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
    """Batches until they hold ``SAMPLES`` samples."""
    seen = 0
    for batch in batches:
        yield batch
        seen += max((len(array) for array in batch.values() if array.ndim), default=1)
        if seen >= SAMPLES:
            return
