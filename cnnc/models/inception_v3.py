"""Inception v3: modules of branches whose larger kernels are factored into 3x3, 1xn and nx1 convolutions.

Source: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, without the auxiliary
head, which only training uses. Names of modules and parts are torchvision's.
"""

from __future__ import annotations

import numpy as np

from cnnc.dsl import (
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    avg_pool,
    concat,
    max_pool,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import InceptionConv


class InceptionA(Module):
    """1x1, 5x5, two 3x3, pool: the paper's figure 5."""

    def __init__(self, channels: int, pooled: int) -> None:
        self.branch1x1 = InceptionConv(channels, 64, 1)
        self.branch5x5_1 = InceptionConv(channels, 48, 1)
        self.branch5x5_2 = InceptionConv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = InceptionConv(channels, 64, 1)
        self.branch3x3dbl_2 = InceptionConv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = InceptionConv(96, 96, 3, padding=1)
        self.branch_pool = InceptionConv(channels, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 224 + pooled, H, W]."""
        branch5x5 = self.branch5x5_2(self.branch5x5_1(x))
        branch3x3 = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return concat([self.branch1x1(x), branch5x5, branch3x3, self.branch_pool(_mean3x3(x))])


class InceptionB(Module):
    """Halves the size: 3x3, two 3x3, pool."""

    def __init__(self, channels: int) -> None:
        self.branch3x3 = InceptionConv(channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = InceptionConv(channels, 64, 1)
        self.branch3x3dbl_2 = InceptionConv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = InceptionConv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, C + 480, (H - 1) / 2, (W - 1) / 2]."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return concat([self.branch3x3(x), double, max_pool(x, 3, stride=2)])


class InceptionC(Module):
    """7x7 kernels as 1x7 and 7x1 in turn: the paper's figure 6."""

    def __init__(self, channels: int, middle: int) -> None:
        across, down = (0, 3), (3, 0)
        self.branch1x1 = InceptionConv(channels, 192, 1)
        self.branch7x7_1 = InceptionConv(channels, middle, 1)
        self.branch7x7_2 = InceptionConv(middle, middle, (1, 7), padding=across)
        self.branch7x7_3 = InceptionConv(middle, 192, (7, 1), padding=down)
        self.branch7x7dbl_1 = InceptionConv(channels, middle, 1)
        self.branch7x7dbl_2 = InceptionConv(middle, middle, (7, 1), padding=down)
        self.branch7x7dbl_3 = InceptionConv(middle, middle, (1, 7), padding=across)
        self.branch7x7dbl_4 = InceptionConv(middle, middle, (7, 1), padding=down)
        self.branch7x7dbl_5 = InceptionConv(middle, 192, (1, 7), padding=across)
        self.branch_pool = InceptionConv(channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 768, H, W]."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return concat([self.branch1x1(x), single, double, self.branch_pool(_mean3x3(x))])


class InceptionD(Module):
    """Halves the size: 3x3, 7x7 then 3x3, pool."""

    def __init__(self, channels: int) -> None:
        self.branch3x3_1 = InceptionConv(channels, 192, 1)
        self.branch3x3_2 = InceptionConv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = InceptionConv(channels, 192, 1)
        self.branch7x7x3_2 = InceptionConv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = InceptionConv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = InceptionConv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, C + 512, (H - 1) / 2, (W - 1) / 2]."""
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch7x7 = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return concat([branch3x3, self.branch7x7x3_4(branch7x7), max_pool(x, 3, stride=2)])


class InceptionE(Module):
    """1x3 and 3x1 side by side, for more maps at the coarsest grid: the paper's figure 7."""

    def __init__(self, channels: int) -> None:
        self.branch1x1 = InceptionConv(channels, 320, 1)
        self.branch3x3_1 = InceptionConv(channels, 384, 1)
        self.branch3x3_2a = InceptionConv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = InceptionConv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = InceptionConv(channels, 448, 1)
        self.branch3x3dbl_2 = InceptionConv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = InceptionConv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = InceptionConv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = InceptionConv(channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 2048, H, W]."""
        single = self.branch3x3_1(x)
        single = concat([self.branch3x3_2a(single), self.branch3x3_2b(single)])
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        double = concat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)])
        return concat([self.branch1x1(x), single, double, self.branch_pool(_mean3x3(x))])


def _mean3x3(x: Tensor) -> Tensor:
    return avg_pool(x, 3, stride=1, padding=1)


def _halves_around_zero(x: Tensor) -> Tensor:
    """Channels normalized by the mean and deviation of ImageNet's, as (value - 0.5) / 0.5 instead."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scale, shift = deviation / 0.5, (mean - 0.5) / 0.5
    return x * scale.astype(np.float32).reshape(1, 3, 1, 1) + shift.astype(np.float32).reshape(1, 3, 1, 1)


class InceptionV3(Sequential):
    """Eleven modules of branches: [N, 3, 299, 299] -> [N, K].

    Args:
        transform_input: for images normalized as torchvision's other networks take them, where the weights are those
            that torchvision has from TensorFlow.
    """

    def __init__(self, classes: int = 1000, *, transform_input: bool = False) -> None:
        super().__init__(
            **({"transform_input": _halves_around_zero} if transform_input else {}),
            Conv2d_1a_3x3=InceptionConv(3, 32, 3, stride=2),
            Conv2d_2a_3x3=InceptionConv(32, 32, 3),
            Conv2d_2b_3x3=InceptionConv(32, 64, 3, padding=1),
            maxpool1=MaxPool(3, stride=2),
            Conv2d_3b_1x1=InceptionConv(64, 80, 1),
            Conv2d_4a_3x3=InceptionConv(80, 192, 3),
            maxpool2=MaxPool(3, stride=2),
            Mixed_5b=InceptionA(192, pooled=32),
            Mixed_5c=InceptionA(256, pooled=64),
            Mixed_5d=InceptionA(288, pooled=64),
            Mixed_6a=InceptionB(288),
            Mixed_6b=InceptionC(768, middle=128),
            Mixed_6c=InceptionC(768, middle=160),
            Mixed_6d=InceptionC(768, middle=160),
            Mixed_6e=InceptionC(768, middle=192),
            Mixed_7a=InceptionD(768),
            Mixed_7b=InceptionE(1280),
            Mixed_7c=InceptionE(2048),
            avgpool=GlobalAvgPool(),
            dropout=Dropout(),
            flatten=Flatten(),
            fc=Linear(2048, classes),
        )


MODELS = (
    Entry(
        "inception_v3",
        "Inception v3 without the auxiliary head",
        InceptionV3,
        image(299, 299),
        23_834_568,
        5_713_000_000,
        "Szegedy et al. 2016; counts: torchvision",
    ),
)
