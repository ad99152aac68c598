"""Winograd's minimal filtering F(m, r) from points, in exact fractions.

Multiplying polynomials u (m coefficients) and g (r) gives s with a = m + r - 1 coefficients. Evaluate both at a points,
multiply the values, and interpolate (Toom 1963, Cook 1966):

    V_a s = (V_r g) * (V_m u)          so          s = V_a^-1 diag(V_r g) V_m u

V_n has a row (1, p, p^2, ..., p^(n-1)) for every point p, and (0, ..., 0, 1) for the point "infinity", which stands for
the highest coefficient. For a fixed g this is a matrix times u. A filter's outputs y_j = sum over k of d_(j+k) g_k are
its *transpose* times d (Winograd, Arithmetic Complexity of Computations, 1980):

    y = V_m^T [ (V_r g) * (V_a^-T d) ]          A^T = V_m^T,  G = V_r,  B^T = V_a^-T
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from cnnc.ir import Array

Row = tuple[Fraction, ...]
Rows = tuple[Row, ...]
Point = Fraction | int
"""A finite one. Infinity is always among the points, and not named."""

USUAL_POINTS: tuple[Fraction, ...] = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "3", "-3")))
"""Small numbers: their powers stay small, and products by most of them are exact."""


@dataclass(frozen=True)
class Filtering:
    """y = A^T [(G g) * (B^T d)], with a = m + r - 1 products.

    Attributes:
        inputs: B^T [a, a].
        filters: G [a, r].
        outputs: A^T [m, a].
    """

    inputs: Rows
    filters: Rows
    outputs: Rows

    def apply(self, d: Sequence[Fraction], g: Sequence[Fraction]) -> Row:
        """m outputs from a inputs and r taps, exactly."""
        products = [x * w for x, w in zip(times(self.inputs, d), times(self.filters, g), strict=True)]
        return times(self.outputs, products)

    def arrays(self, dtype: type = np.float32) -> tuple[Array, Array, Array]:
        """B^T, G and A^T as arrays, each element rounded once."""
        made = [np.array([[float(value) for value in row] for row in rows]) for rows in (self.inputs, self.filters)]
        outputs = np.array([[float(value) for value in row] for row in self.outputs])
        return made[0].astype(dtype), made[1].astype(dtype), outputs.astype(dtype)


def times(rows: Rows, vector: Sequence[Fraction]) -> Row:
    """A matrix times a vector."""
    return tuple(sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in rows)


def vandermonde(points: Sequence[Point], columns: int) -> Rows:
    """V: a row of powers for every point, and one for infinity."""
    finite = [tuple(Fraction(point) ** power for power in range(columns)) for point in points]
    return (*finite, tuple(Fraction(column == columns - 1) for column in range(columns)))


def inverse(rows: Rows) -> Rows:
    """The inverse of a square matrix, by Gauss and Jordan's elimination.

    Raises:
        ValueError: there is none, as of the Vandermonde matrix of a point that is there twice.
    """
    size = len(rows)
    work = [[*row, *(Fraction(column == number) for column in range(size))] for number, row in enumerate(rows)]
    for column in range(size):
        pivot = next((number for number in range(column, size) if work[number][column]), None)
        if pivot is None:
            raise ValueError("the matrix has no inverse: is a point there twice?")
        work[column], work[pivot] = work[pivot], work[column]
        work[column] = [value / work[column][column] for value in work[column]]
        for number in range(size):
            if number != column:
                factor = work[number][column]
                work[number] = [a - factor * b for a, b in zip(work[number], work[column])]
    return tuple(tuple(row[size:]) for row in work)


def minimal_filtering(m: int, r: int, points: Sequence[Point] = USUAL_POINTS) -> Filtering:
    """F(m, r) with the first m + r - 2 of ``points``, and infinity.

    A row of B^T may be multiplied by anything if that of G is divided by it: B^T gets integers, which the inputs, that
    change with every call, are cheaply and exactly multiplied by. G meets weights, once.
    """
    finite = points[: m + r - 2]
    interpolation = inverse(vandermonde(finite, m + r - 1))
    inputs = tuple(zip(*interpolation))
    filters, outputs = vandermonde(finite, r), tuple(zip(*vandermonde(finite, m)))
    scales = [lcm(*(value.denominator for value in row)) for row in inputs]
    return Filtering(
        tuple(tuple(value * scale for value in row) for row, scale in zip(inputs, scales)),
        tuple(tuple(value / scale for value in row) for row, scale in zip(filters, scales)),
        outputs,
    )


def filtered_tiles(x: Array, w: Array, m: int, matrices: tuple[Array, Array, Array]) -> Array:
    """A convolution without padding by F(m x m, r x r), in the dtype of its operands.

    Args:
        x: [IC, H, W]; H - r + 1 and W - r + 1 are multiples of m.
        w: [OC, IC, r, r].
        matrices: B^T, G and A^T.

    Returns:
        [OC, H - r + 1, W - r + 1].
    """
    b_t, g, a_t = matrices
    size = len(b_t)
    tiles = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::m, ::m]
    # In two dimensions a matrix is applied to the columns and to the rows.
    inputs = np.einsum("ai,cyxij,bj->abcyx", b_t, tiles, b_t, optimize=True)
    filters = np.einsum("ai,ocij,bj->aboc", g, w, g, optimize=True)
    # For each of the a x a places a matrix product over channels: here is all of the work that counts.
    sums = np.matmul(filters, inputs.reshape(size, size, x.shape[0], -1))
    sums = sums.reshape(size, size, w.shape[0], *tiles.shape[1:3])
    outputs = np.einsum("ia,aboyx,jb->oyixj", a_t, sums, a_t, optimize=True)
    return outputs.reshape(w.shape[0], tiles.shape[1] * m, tiles.shape[2] * m)
