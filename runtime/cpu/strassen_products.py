"""Strassen's method with one level, in Winograd's form: a product of 2x2 blocks from 7 products of blocks instead of 8.

W is a matrix of weights [OC, IC], X one of inputs [IC, pixels]; each is divided into four blocks, numbered 11, 12, 21,
22 by halves of rows and of columns. Sums of blocks of W are made when weights are packed. Sums of blocks of X take four
subtractions. Products are combined in a register tile, which computes them in this order, and after each of them takes
a few steps on the tile as a whole.

Source: Higham, Accuracy and Stability of Numerical Algorithms, section 23.2, (23.6); the order is our own.
"""

from __future__ import annotations

from dataclasses import dataclass

HALVES = 2
"""Parts of every axis: OC, IC and pixels."""

DIFFERENCES = ((1, 0), (3, 4), (3, 1), (5, 2))
"""Operands 4 to 7, each the difference of two earlier ones; operands 0 to 3 are the blocks X11, X12, X21, X22."""

OPERANDS = HALVES**2 + len(DIFFERENCES)

TEMPORARIES = 3
"""Register tiles that wait in memory."""

KEEP, COLLECT, ADD, FINISH = "keep", "collect", "add", "finish"
"""Steps of a register tile: store it to a temporary; add it to a temporary; add a temporary to it; bias, residual,
activation and store to a block of the result (0 to 3, numbered as above)."""


@dataclass(frozen=True, slots=True)
class BlockProduct:
    """A product of a sum of blocks of W with an operand.

    Args:
        weights: factors of W11, W12, W21, W22.
        operand: number of the factor on the right.
        steps: what happens to the product, as pairs (step, number of a temporary or of a block of the result).
    """

    weights: tuple[int, int, int, int]
    operand: int
    steps: tuple[tuple[str, int], ...]


PRODUCTS = (
    BlockProduct((1, 0, 0, 0), 0, ((KEEP, 0),)),
    BlockProduct((-1, 0, 1, 1), 5, ((ADD, 0), (KEEP, 1))),
    BlockProduct((1, 0, -1, 0), 6, ((ADD, 1), (KEEP, 2))),
    BlockProduct((0, 0, 0, -1), 7, ((ADD, 2), (FINISH, 2))),
    BlockProduct((0, 0, 1, 1), 4, ((COLLECT, 1), (ADD, 2), (FINISH, 3))),
    BlockProduct((1, 1, -1, -1), 3, ((ADD, 1), (FINISH, 1))),
    BlockProduct((0, 1, 0, 0), 2, ((ADD, 0), (FINISH, 0))),
)
