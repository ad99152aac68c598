"""Rooflines: what a machine allows a program that does so many operations with each byte it moves.

A program cannot be faster than the multiply-add units, and not faster than its bytes arrive:

    FLOP/s <= min(peak, intensity * bandwidth)         intensity = operations / bytes

(Williams, Waterman and Patterson, Roofline: an insightful visual performance model for multicore architectures, CACM
52(4), 2009.) The classic model counts bytes of main memory. All our steps have the same of these, so here bytes are
those that the inner loop moves between registers and the first-level cache, and there is a roof for every level of
the memory (Ilic, Pratas and Sousa, Cache-aware roofline model: upgrading the loft, IEEE Computer Architecture Letters
13, 2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnc.tuning.bandwidth import MemoryReader


@dataclass(frozen=True)
class Roofs:
    """Of one core: ``peak`` FLOP/s, and bytes a second from each level of the memory."""

    peak: float
    bandwidths: Mapping[str, float]

    def limit(self, intensity: float, level: str = "L1") -> float:
        """FLOP/s that the model allows with all bytes from that level."""
        return min(self.peak, intensity * self.bandwidths[level])


@dataclass(frozen=True)
class Point:
    """A program: operations a byte, and FLOP/s that it reaches."""

    name: str
    intensity: float
    flops: float


def measured_roofs(peak: float) -> Roofs:
    """The bandwidths of this machine, in about a second."""
    return Roofs(peak, MemoryReader().levels())


def write_plot(path: Path, roofs: Roofs, points: Sequence[Point], title: str) -> None:
    """Draw roofs and points as SVG or PNG; both axes are logarithmic.

    Raises:
        SystemExit: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("matplotlib is not installed: pip install matplotlib") from None
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # letters as text, a tenth of the bytes of outlines
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    intensities = np.geomspace(0.08, 16, 200)
    for level in roofs.bandwidths:
        allowed = [roofs.limit(intensity, level) / 1e9 for intensity in intensities]
        axes.loglog(intensities, allowed, label=f"{level}, {roofs.bandwidths[level] / 1e9:.0f} GB/s")
    for number, point in enumerate(points, 1):
        axes.plot(point.intensity, point.flops / 1e9, "ko")
        # Steps of equal intensity lie close together: their numbers go to both sides.
        side = 6 if number % 2 else -12
        axes.annotate(str(number), (point.intensity, point.flops / 1e9), (side, -4), textcoords="offset points")
    names = "\n".join(f"{number} {point.name}" for number, point in enumerate(points, 1))
    axes.text(0.98, 0.03, names, transform=axes.transAxes, ha="right", va="bottom", family="monospace", fontsize=8)
    axes.set(title=title, xlabel="FLOP for each byte between registers and cache", ylabel="GFLOP/s, one thread")
    axes.legend(loc="upper left")
    axes.grid(which="both", alpha=0.3)
    figure.savefig(path)
    pyplot.close(figure)
