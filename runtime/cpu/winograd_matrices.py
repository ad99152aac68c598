"""Winograd's minimal filtering F(m, r): the three matrices of y = A^T [(G g) * (B^T d)], by Cook and Toom.

m outputs of a filter of r taps cost m + r - 1 products instead of m r: the filter and the inputs are evaluated as
polynomials at m + r - 2 points and at infinity, multiplied there, and interpolated (Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, 2016; Blahut, Fast Algorithms for Signal Processing, section 5). In two dimensions each
matrix is applied to the rows and to the columns.

Points decide the rounding error (``amplification``). They come in pairs +-a, for which transforms share half of their
work. Products by +-sqrt(2), +-1/sqrt(2) make the error of F(4, 3) a half to a quarter of that with the usual +-1, +-2
(measured on ResNets, VGG and U-Net). For odd sums of m and r the points are found by numerical search, without 0.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_ROOT = math.sqrt(2.0)
_POINTS: dict[int, tuple[float, ...]] = {
    1: (),
    2: (0.0,),
    3: (1.0, -1.0),
    4: (0.0, 1.0, -1.0),
    5: (1.28, -1.28, 0.38, -0.38),
    6: (0.0, _ROOT, -_ROOT, 1 / _ROOT, -1 / _ROOT),
    7: (1.77, -1.77, 0.85, -0.85, 0.285, -0.285),
    8: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5),
}
"""Number of products -> finite points."""

MOST_PRODUCTS = max(_POINTS)
"""The largest m + r - 1 that there are points for."""


@dataclass(frozen=True, slots=True)
class Matrices:
    """Of F(m, r), with a = m + r - 1: ``inputs`` B^T [a, a], ``filters`` G [a, r], ``outputs`` A^T [m, a].

    Results come out ``scale`` times as large, which is 1 but for matrices of integers (``winograd_integers``).
    """

    inputs: Matrix
    filters: Matrix
    outputs: Matrix
    scale: int = 1


@functools.cache
def matrices(m: int, r: int) -> Matrices:
    """The matrices of F(m, r) in float64; r = 1 with m = 1 is the identity.

    Raises:
        KeyError: m + r - 1 is more than ``MOST_PRODUCTS``.
    """
    points = _POINTS[m + r - 1]
    finite = len(points)
    inputs, filters, outputs = np.zeros((finite + 1, finite + 1)), np.zeros((finite + 1, r)), np.zeros((m, finite + 1))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        inputs[row, :finite] = np.polynomial.polynomial.polyfromroots(others) if others else [1.0]
        filters[row] = [point**power / math.prod(point - other for other in others) for power in range(r)]
        outputs[:, row] = [point**power for power in range(m)]
    inputs[finite] = np.polynomial.polynomial.polyfromroots(points) if points else [1.0]
    filters[finite, r - 1] = 1.0
    outputs[m - 1, finite] = 1.0
    # What is zero by symmetry is not so by rounding.
    inputs[np.abs(inputs) < 1e-12] = 0.0
    return Matrices(inputs, filters, outputs)


@functools.cache
def monic_matrices(m: int, r: int) -> Matrices:
    """As ``matrices``, with filters whose rows begin with 1 (that of infinity ends so), and inputs scaled to match."""
    found = matrices(m, r)
    scales = np.append(found.filters[:-1, 0], 1.0)
    return Matrices(found.inputs * scales[:, None], found.filters / scales[:, None], found.outputs)


def amplification(m: int, r: int) -> float:
    """By how much F(m, r) enlarges the relative rounding error of products, for random inputs and filters.

    An error of relative size e in each product makes one of size e times this in the outputs, both as root mean squares
    over outputs of equal deviation. 1 for r = 1. In two dimensions the factors of both axes multiply.
    """
    found = matrices(m, r)
    products = np.sum(found.inputs**2, axis=1) * np.sum(found.filters**2, axis=1)
    return float(np.sqrt(np.mean(found.outputs**2 @ products) / r))
