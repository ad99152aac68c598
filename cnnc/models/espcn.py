"""ESPCN: convolutions on the small image, whose last channels become the pixels of the large one.

Source: Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
Network, CVPR 2016: 5-3-3 windows, tanh.
"""

from __future__ import annotations

from cnnc.dsl import Conv2d, Module, Tensor, pixel_shuffle, tanh
from cnnc.models.catalog import Entry, image


class ESPCN(Module):
    """[N, C, H, W] -> [N, C, H*r, W*r] for r = ``factor``."""

    def __init__(self, factor: int = 3, channels: int = 1) -> None:
        self.factor = factor
        self.conv1 = Conv2d(channels, 64, 5, padding=2)
        self.conv2 = Conv2d(64, 32, 3, padding=1)
        self.conv3 = Conv2d(32, channels * factor**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged image."""
        x = tanh(self.conv2(tanh(self.conv1(x))))
        return pixel_shuffle(self.conv3(x), self.factor)


_SOURCE = "Shi et al. 2016; counts by formula: 1,600 + 18,432 + 2,592 weights, each used once a pixel, and 105 biases"

MODELS = (
    Entry("espcn", "ESPCN, 3 times enlarged", ESPCN, image(224, 224, channels=1), 22_729, 22_624 * 224 * 224, _SOURCE),
)
