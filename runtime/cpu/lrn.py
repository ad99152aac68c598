"""``lrn.plain`` and ``lrn.blocked`` share this: local response normalization (AlexNet, GoogLeNet), ONNX LRN.

y = x / (bias + alpha / size * sum of squares over ``size`` neighbouring channels)^beta. The window of channel c goes
from c - (size - 1) // 2 to c + size // 2. ``alpha_over_size``, ``beta`` and ``bias`` are float32 bits. The power is
exp(-beta * log(base)); the base is positive for any sensible alpha and bias, and within 2e-6 of the true power.
"""

from __future__ import annotations

from cnnc.dims import Dim

SIZES = ("batch", "channels", "positions", "size", "alpha_over_size", "beta", "bias")


def arguments(
    batch: Dim, channels: Dim, positions: Dim, size: int, alpha_over_size: int, beta: int, bias: int
) -> dict[str, Dim]:
    """Size slots: N, C, spatial positions, window, and three float32 as bits."""
    return dict(zip(SIZES, (batch, channels, positions, size, alpha_over_size, beta, bias)))
