"""Whether a convolution is divided between threads by pixels or by output channels. Pure functions of sizes.

Workers claim from both ends (``runtime.worker_loop``), so of two threads each computes one half of a layer's items.
Where consecutive layers divide their maps alike, a thread reads what it wrote itself, from its own cache; a line that
the other one wrote, or has read since, costs a trip between the cores. Divided by pixels, each thread reads all weights
and its part of the input; divided by output channels, all of the input and its part of the weights.
"""

from __future__ import annotations

_NARROWING = 4
"""Depthwise convolutions mostly stand between a 1x1 convolution that widens and one that narrows, by 3 to 6."""


def divides_pixels(pixels: int, in_channels: int, out_channels: int) -> bool:
    """Whether a 1x1 convolution has no more weights than elements of its input and output."""
    return in_channels * out_channels <= (in_channels + out_channels) * pixels


def divides_rows(pixels: int, channels: int) -> bool:
    """Whether a depthwise convolution of a map is divided by rows: where its neighbours divide pixels."""
    return divides_pixels(pixels, channels, max(channels // _NARROWING, 1))
