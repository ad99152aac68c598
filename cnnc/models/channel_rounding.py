"""Channel counts of the MobileNet family, which are multiples of eight at every width."""

from __future__ import annotations


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` that is nearest to ``channels``, and not more than 10 % below it.

    Source: Sandler et al., MobileNetV2, CVPR 2018, as its published implementation rounds widths.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
