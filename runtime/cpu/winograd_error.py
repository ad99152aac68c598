"""What Winograd's method costs in accuracy: known from the variant and the number of products, before anything runs."""

from __future__ import annotations

import math

from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.cpu.winograd_matrices import amplification

_UNIT = 2.0**-24


def direct_error(products: int, chain: int = CHAIN) -> float:
    """Relative error of sums of ``products`` random products, both as root mean squares.

    Sums have two levels: of ``chain`` products at most, and of those.
    """
    chain = min(products, chain)
    return _UNIT * math.sqrt((chain + products / chain) / 6)


def winograd_error(outputs: tuple[int, int], window: tuple[int, int], products: int, chain: int = CHAIN) -> float:
    """The same for a convolution of random inputs and weights by F(outputs, window).

    Each position sums ``products`` products, input channels times depth of the window; both factors were rounded by
    their transforms. The inverse transform amplifies the error of the sums.
    """
    rounded = direct_error(products, chain) ** 2 + 4 * _UNIT**2
    return amplified(outputs, window) * math.sqrt(rounded)


def amplified(outputs: tuple[int, int], window: tuple[int, int]) -> float:
    """By how much the rounding of products is enlarged, in both dimensions together."""
    return math.prod(amplification(m, r) for m, r in zip(outputs, window, strict=True))
