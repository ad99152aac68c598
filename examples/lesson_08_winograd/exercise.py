"""Exercise 8: Winograd's transforms for any points, and a convolution of maps of any size by them.

Replace the bodies, then: python examples/course.py check 8

The lesson inverts a matrix to get B^T. Do without: Lagrange's formula gives its rows. With finite points p_1 ...
p_(a-1), a = m + r - 1, and M(x) = (x - p_1) ... (x - p_(a-1)):

    row i of B^T     the coefficients of M(x) / (x - p_i), lowest power first, a of them (the last one is 0)
    row i of G       (1, p_i, ..., p_i^(r-1)) / product over j != i of (p_i - p_j)
    column i of A^T  (1, p_i, ..., p_i^(m-1))

and for infinity, the last: the a coefficients of M(x); (0, ..., 0, 1); (0, ..., 0, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from cnnc.ir import Array

Rows = list[list[Fraction]]


def transforms(m: int, r: int, points: Sequence[Fraction]) -> tuple[Rows, Rows, Rows]:
    """B^T [a, a], G [a, r] and A^T [m, a] of F(m, r) by m + r - 2 finite points and infinity, in exact fractions."""
    raise NotImplementedError("exercise: write the three matrices by Lagrange's formula")


def products(m: int, r: int, height: int, width: int) -> int:
    """Products, for one pair of an input and an output channel, that F(m x m, r x r) makes for height x width outputs.

    The last tiles of a row or column may hang over the border: they cost as much as others.
    """
    raise NotImplementedError("exercise: count the tiles")


def convolve(x: Array, w: Array, m: int, points: Sequence[Fraction]) -> Array:
    """A convolution with stride 1 that keeps the size of the map, by F(m x m, r x r).

    Every tile's inputs and every filter are transformed once, in float32.

    Args:
        x: [IC, H, W] float32, of any size from 1x1 on; around it are (r - 1) / 2 zeros on every side.
        w: [OC, IC, r, r] float32, r odd.
        m: outputs of a tile along each axis.
        points: m + r - 2 of them.

    Returns:
        [OC, H, W] float32.
    """
    raise NotImplementedError("exercise: pad to whole tiles, transform, multiply, transform back, and cut off the rest")
