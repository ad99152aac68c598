"""DnCNN: estimates the noise of an image, and takes it off.

Source: Zhang et al., Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising, IEEE Transactions
on Image Processing 26, 2017: 17 layers for noise of a known level (DnCNN-S).
"""

from __future__ import annotations

from cnnc.dsl import BatchNorm, Conv2d, Module, Network, Sequential, Tensor, relu
from cnnc.models.catalog import Entry, image


class DnCNN(Module):
    """[N, C, H, W] -> the same image with less noise."""

    def __init__(self, channels: int = 1, depth: int = 17, width: int = 64) -> None:
        steps: list[Network] = [Conv2d(channels, width, 3, padding=1, bias=False), relu]
        for _ in range(depth - 2):
            steps += [Conv2d(width, width, 3, padding=1, bias=False), BatchNorm(width), relu]
        self.dncnn = Sequential(*steps, Conv2d(width, channels, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """The image without the noise."""
        return x - self.dncnn(x)


_SOURCE = "Zhang et al. 2017; counts by formula: 556,032 as its PyTorch implementations have them"

MODELS = (Entry("dncnn", "DnCNN, 17 layers", DnCNN, image(256, 256, channels=1), 556_032, 36_314_284_032, _SOURCE),)
