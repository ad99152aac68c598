"""Exercise 9, solved."""

from __future__ import annotations

import numpy as np


def affine(low: float, high: float) -> tuple[np.float32, int]:
    """Scale and zero point of unsigned bytes for a range."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return np.float32(1), 0
    scale = np.float32((high - low) / 255)
    return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def fixed_point(multiplier: float) -> tuple[int, int]:
    """(mantissa, shift) with mantissa / 2**shift nearest to ``multiplier``."""
    fraction, exponent = np.frexp(multiplier)
    mantissa, shift = int(np.rint(fraction * 2**31)), 31 - int(exponent)
    # A fraction just below 1 is rounded up to 2**31, which is 2**30 at half the shift.
    return (mantissa // 2, shift - 1) if mantissa == 2**31 else (mantissa, shift)


def requantize(sums: np.ndarray, mantissa: int, shift: int, zero_point: int) -> np.ndarray:
    """Sums of int32 as bytes of another scale, in integers only."""
    scaled = (sums.astype(np.int64) * mantissa + (1 << (shift - 1))) >> shift
    return np.clip(scaled + zero_point, 0, 255).astype(np.uint8)


class LeastErrorObserver:
    """Chooses the range whose quantized elements have the least squared error."""

    def __init__(self) -> None:
        self._batches: list[np.ndarray] = []

    def see(self, batch: np.ndarray) -> None:
        """A batch float32 of any shape."""
        self._batches.append(batch.reshape(-1))

    def range(self) -> tuple[float, float]:
        """(low, high), low <= 0 <= high."""
        values = np.concatenate(self._batches)
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        shares = np.linspace(0.05, 1, 96)
        return min(((low * share, high * share) for share in shares), key=lambda ends: _squared_error(values, *ends))


def _squared_error(values: np.ndarray, low: float, high: float) -> float:
    scale, zero_point = affine(low, high)
    stored = np.clip(np.rint(values / scale) + zero_point, 0, 255)
    return float(np.square(values - scale * (stored - zero_point)).sum(dtype=np.float64))
