"""Winograd's F(m, 3) in integers: exact convolutions of bytes by int16 products, summed modulo 2^32.

The points 0, +-1, +-2 make B^T a matrix of integers; G and A^T share a common denominator D, so that results come out
D^2 times as large in two dimensions: 576 = 2^6 * 9 for F(4x4, 3x3), 36 = 2^2 * 9 for F(3x3, 3x3), 4 for F(2x2, 3x3).

- Inputs 0..255 become at most 68 * 255 = 17340 in magnitude, weights -128..127 at most 144 * 128 = 18432: both fit
  int16 (``fits_int16`` is asked when the matrices are made).
- Their products and all sums behind are taken modulo 2^32, so that of a sum y there is 2^s * q * y modulo 2^32, q odd.
  The inverse of q modulo 2^32 takes it to 2^s * y modulo 2^32; 2^s * bias is added, and an arithmetic shift by s gives
  y + bias itself wherever it lies from -2^(31-s) up to 2^(31-s). Weights and bias decide at compile time whether that
  holds for all inputs (``result_limit``).

(Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.3 for F(4x4, 3x3).)
"""

from __future__ import annotations

import functools
import math

import numpy as np

from cnnc.runtime.cpu.winograd_matrices import Matrices, Matrix

WINDOW = 3
_POINTS = {2: (0, 1, -1), 3: (0, 1, -1, 2), 4: (0, 1, -1, 2, -2)}
"""Outputs m -> finite points; the last one is infinity."""
MOST_OUTPUTS = max(_POINTS)

_LARGEST_INPUT, _LARGEST_WEIGHT = 255, 128
_INT16, _WORD = 2**15, 2**32


@functools.cache
def integer_matrices(m: int, r: int) -> Matrices:
    """The matrices of F(m, 3) with integer entries; ``scale`` is D.

    Each row of G may have a part of D, and the column of A^T the rest. The filter's sums are small, so all rows of
    finite points have their whole part, and infinity as much as int16 leaves it.
    """
    assert r == WINDOW, "integers are for windows of three"
    points = _POINTS[m]
    finite = len(points)
    divisors = [math.prod(point - other for other in points if other != point) for point in points]
    scale = math.lcm(*divisors)
    inputs, filters, outputs = np.zeros((finite + 1, finite + 1)), np.zeros((finite + 1, r)), np.zeros((m, finite + 1))
    for row, (point, divisor) in enumerate(zip(points, divisors)):
        others = [other for other in points if other != point]
        inputs[row, :finite] = np.rint(np.polynomial.polynomial.polyfromroots(others))
        filters[row] = [scale // divisor * point**power for power in range(r)]
        outputs[:, row] = [point**power for power in range(m)]
    inputs[finite] = np.rint(np.polynomial.polynomial.polyfromroots(points))
    for rest in (part for part in range(1, scale + 1) if scale % part == 0):
        filters[finite, r - 1] = scale // rest
        outputs[m - 1, finite] = rest
        if fits_int16(inputs, filters):
            return Matrices(inputs, filters, outputs, scale)
    raise AssertionError(f"F({m}, {r}) does not fit int16")


def fits_int16(inputs: Matrix, filters: Matrix) -> bool:
    """Whether bytes and int8 weights, transformed in both dimensions, lie within int16."""
    weights = np.abs(filters).sum(1).max() ** 2 * _LARGEST_WEIGHT
    both = np.kron(inputs, inputs)
    bytes_ = max(np.maximum(both, 0).sum(1).max(), np.maximum(-both, 0).sum(1).max()) * _LARGEST_INPUT
    return bool(max(weights, bytes_) < _INT16)


def inverse_and_shift(scale: int) -> tuple[int, int]:
    """(i, s) with i * scale = 2^s modulo 2^32; i as an int32."""
    shift = (scale & -scale).bit_length() - 1
    inverse = pow(scale >> shift, -1, _WORD)
    return inverse - _WORD if inverse >= _WORD // 2 else inverse, shift


def result_limit(outputs: tuple[int, int]) -> int:
    """Results from -limit up to, but without, limit are exact."""
    scale = math.prod(integer_matrices(m, WINDOW).scale for m in outputs)
    return 1 << 31 - inverse_and_shift(scale)[1]
