"""SRCNN: three convolutions sharpen an image that was enlarged by bicubic interpolation.

Source: Dong et al., Learning a Deep Convolutional Network for Image Super-Resolution, ECCV 2014 (9-1-5), and Image
Super-Resolution Using Deep Convolutional Networks, IEEE TPAMI 38, 2016 (9-5-5). Images keep their size here.
"""

from __future__ import annotations

from functools import partial

from cnnc.dsl import Conv2d, Module, Tensor, relu
from cnnc.models.catalog import Entry, image


class SRCNN(Module):
    """[N, C, H, W] -> the same size. ``kernels``: windows for patches, for the mapping, and for the result."""

    def __init__(self, kernels: tuple[int, int, int] = (9, 1, 5), channels: int = 1) -> None:
        first, second, third = kernels
        self.conv1 = Conv2d(channels, 64, first, padding="same")
        self.conv2 = Conv2d(64, 32, second, padding="same")
        self.conv3 = Conv2d(32, channels, third, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        """The sharper image."""
        return self.conv3(relu(self.conv2(relu(self.conv1(x)))))


_IMAGE = image(256, 256, channels=1)
_SOURCE = "Dong et al. 2014 and 2016, which count {} weights without the 97 biases; MACs: weights x pixels"

MODELS = (
    Entry("srcnn_915", "SRCNN 9-1-5", SRCNN, _IMAGE, 8_129, 8_032 * 256 * 256, _SOURCE.format("8,032")),
    Entry(
        "srcnn_955",
        "SRCNN 9-5-5",
        partial(SRCNN, (9, 5, 5)),
        _IMAGE,
        57_281,
        57_184 * 256 * 256,
        _SOURCE.format("57,184"),
    ),
)
