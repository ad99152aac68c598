"""Exercise 9: bytes, rescaling in integers, and an observer.

Replace the bodies, then: python examples/course.py check 9
"""

from __future__ import annotations

import numpy as np


def affine(low: float, high: float) -> tuple[np.float32, int]:
    """Scale and zero point of unsigned bytes for a range: real = scale * (stored - zero_point).

    The range is widened to hold 0 first: padding and what ReLU cuts off must be stored exactly. 255 steps span it; the
    scale is rounded to float32, and with this scale the zero point is -low / scale, rounded and within 0..255. A range
    of no width gets scale 1 and zero point 0.
    """
    raise NotImplementedError("exercise: return scale and zero point")


def fixed_point(multiplier: float) -> tuple[int, int]:
    """(mantissa, shift) with mantissa / 2**shift nearest to ``multiplier``, and 2**30 <= mantissa < 2**31.

    The multiplier lies between 2**-20 and 1. ``np.frexp`` takes a number apart. Mind a mantissa that is rounded up.
    """
    raise NotImplementedError("exercise: return two ints")


def requantize(sums: np.ndarray, mantissa: int, shift: int, zero_point: int) -> np.ndarray:
    """Sums of int32 as bytes of another scale, in integers only.

    ``floor(sum * mantissa / 2**shift + 1/2) + zero_point``, saturated to 0..255, uint8 of the shape of ``sums``. No
    floating-point number may occur: processors without a floating-point unit run this. A product of 32 and 31 bits
    fits an int64; >> rounds down, below 0 too.
    """
    raise NotImplementedError("exercise: a product, an addition, a shift, an addition, a clip")


class LeastErrorObserver:
    """Chooses the range whose quantized elements have the least squared error.

    ``see`` is called with one batch after the other, in order; ``range`` afterwards. All that was seen may be kept.
    """

    def see(self, batch: np.ndarray) -> None:
        """A batch float32 of any shape."""
        raise NotImplementedError("exercise: remember what you need")

    def range(self) -> tuple[float, float]:
        """(low, high), low <= 0 <= high.

        Try ranges: from all that was seen inwards, both ends by the same share will do. For each, store and restore the
        elements with ``affine``, clipped to bytes, and add up the squared errors.
        """
        raise NotImplementedError("exercise: the best of some hundred candidates")
