"""U-Net: an encoder and a decoder with a skip connection at each scale.

Source: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015. This is the
form in wide use since: convolutions keep the size of their maps, so that nothing is cropped, and are normalized; names
are those of the PyTorch implementation by milesial.
"""

from __future__ import annotations

from cnnc.dsl import BatchNorm, Conv2d, ConvTranspose2d, MaxPool, Module, Sequential, Tensor, concat, relu
from cnnc.models.catalog import Entry, image


class DoubleConv(Module):
    """Two 3x3 convolutions, each normalized, with ReLU: [N, IC, H, W] -> [N, OC, H, W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        self.double_conv = Sequential(
            Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            BatchNorm(out_channels),
            relu,
            Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            BatchNorm(out_channels),
            relu,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same size."""
        return self.double_conv(x)


class Down(Module):
    """One step of the encoder: [N, C, H, W] -> [N, 2C, H/2, W/2]."""

    def __init__(self, channels: int) -> None:
        self.maxpool_conv = Sequential(MaxPool(2), DoubleConv(channels, 2 * channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of half the size."""
        return self.maxpool_conv(x)


class Up(Module):
    """One step of the decoder, which reads the encoder's maps of its scale: [N, C, H, W] -> [N, C/2, 2H, 2W]."""

    def __init__(self, channels: int) -> None:
        self.up = ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.conv = DoubleConv(channels, channels // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Maps of twice the size, that of ``skip``."""
        return self.conv(concat([skip, self.up(x)]))


class Head(Module):
    """Class scores of each pixel: [N, C, H, W] -> [N, classes, H, W]."""

    def __init__(self, channels: int, classes: int) -> None:
        self.conv = Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return self.conv(x)


class UNet(Module):
    """[N, IC, H, W] -> [N, classes, H, W] with H and W multiples of 16."""

    def __init__(self, in_channels: int = 3, classes: int = 1, width: int = 64) -> None:
        self.inc = DoubleConv(in_channels, width)
        self.down1 = Down(width)
        self.down2 = Down(2 * width)
        self.down3 = Down(4 * width)
        self.down4 = Down(8 * width)
        self.up1 = Up(16 * width)
        self.up2 = Up(8 * width)
        self.up3 = Up(4 * width)
        self.up4 = Up(2 * width)
        self.outc = Head(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of each pixel."""
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x = self.up1(self.down4(x4), x4)
        x = self.up2(x, x3)
        x = self.up3(x, x2)
        return self.outc(self.up4(x, x1))


_SOURCE = "Ronneberger et al. 2015; parameters: the PyTorch implementation by milesial; MACs by formula"

MODELS = (Entry("unet", "U-Net, 64 to 1024 channels", UNet, image(256, 256), 31_037_633, 48_167_387_136, _SOURCE),)
