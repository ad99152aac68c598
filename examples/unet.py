"""U-Net: a network that labels every pixel, written in a page of the DSL.

    cnnc inspect examples/unet.py:model
    cnnc compile examples/unet.py:model -o unet.cnnc
    python examples/unet.py

Source: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015; padded, so
that the result is as large as the image, and with batch normalization.
"""

from __future__ import annotations

import numpy as np

import cnnc
from cnnc import dsl


def double_conv(in_channels: int, out_channels: int) -> dsl.Sequential:
    """Two 3x3 convolutions, each with normalization and ReLU."""
    return dsl.Sequential(
        dsl.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        dsl.BatchNorm(out_channels),
        dsl.relu,
        dsl.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        dsl.BatchNorm(out_channels),
        dsl.relu,
    )


class Up(dsl.Module):
    """Twice as many pixels, then the encoder's tensor of that size beside them."""

    def __init__(self, channels: int) -> None:
        self.up = dsl.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.conv = double_conv(channels, channels // 2)

    def forward(self, x: dsl.Tensor, skip: dsl.Tensor) -> dsl.Tensor:
        """x [N, C, H, W], skip [N, C/2, 2H, 2W] -> [N, C/2, 2H, 2W]."""
        return self.conv(dsl.concat([skip, self.up(x)]))


class UNet(dsl.Module):
    """[N, IC, H, W] -> scores [N, classes, H, W]; H and W are multiples of 2 ** (levels - 1)."""

    def __init__(self, in_channels: int = 1, classes: int = 2, width: int = 16, levels: int = 4) -> None:
        widths = [width * 2**level for level in range(levels)]
        self.down = [double_conv(a, b) for a, b in zip([in_channels, *widths], widths)]
        self.up = [Up(channels) for channels in reversed(widths[1:])]
        self.head = dsl.Conv2d(width, classes, 1)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Scores of each class at each pixel."""
        skips = []
        for level in self.down[:-1]:
            skips.append(level(x))
            x = dsl.max_pool(skips[-1], 2)
        x = self.down[-1](x)
        for up, skip in zip(self.up, reversed(skips)):
            x = up(x, skip)
        return self.head(x)


model = dsl.model(UNet(), {"image": ("N", 1, 96, 96)}, name="unet")


def main() -> None:
    """Compile the network, run it on noise, and say what it is made of."""
    compiled = cnnc.compile(model)
    image = np.random.default_rng(0).standard_normal((1, 1, 96, 96), np.float32)
    scores = compiled.run({"image": image})["output"]
    print(f"{model.name}: {model.parameter_count:,} parameters, {model.macs():,} MACs an image")
    print(f"scores {scores.shape}; class 1 at {np.mean(scores.argmax(1)):.0%} of the pixels (the weights are random)")


if __name__ == "__main__":
    main()
