"""MobileNetV2: blocks that widen, filter each map, and narrow again without an activation.

Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2.
"""

from __future__ import annotations

from cnnc.dsl import (
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    Module,
    Network,
    Sequential,
    Tensor,
    relu6,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.channel_rounding import round_channels
from cnnc.models.conv_norm import ConvNorm

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, and the first block's stride."""


class InvertedResidual(Module):
    """1x1 convolution to ``expansion`` times as many maps, depthwise 3x3, 1x1 back; a shortcut where shapes agree."""

    def __init__(self, channels: int, out_channels: int, stride: int, expansion: int) -> None:
        inside = channels * expansion
        widen = [ConvNorm(channels, inside, 1, act=relu6)] if expansion != 1 else []
        self.conv = Sequential(
            *widen,
            ConvNorm(inside, inside, 3, stride=stride, groups=inside, act=relu6),
            Conv2d(inside, out_channels, 1, bias=False),
            BatchNorm(out_channels),
        )
        self.has_shortcut = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, out_channels, H / stride, W / stride]."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class MobileNetV2(Sequential):
    """[N, 3, 224, 224] -> [N, K].

    Args:
        width: multiplies all channel counts, which are rounded to multiples of 8.
    """

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = round_channels(32 * width)
        last = round_channels(1280 * max(1.0, width))
        steps: list[Network] = [ConvNorm(3, channels, 3, stride=2, act=relu6)]
        for expansion, full, count, stride in STAGES:
            out_channels = round_channels(full * width)
            for index in range(count):
                steps.append(InvertedResidual(channels, out_channels, stride if index == 0 else 1, expansion))
                channels = out_channels
        steps.append(ConvNorm(channels, last, 1, act=relu6))
        super().__init__(
            features=Sequential(*steps),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            classifier=Sequential(Dropout(0.2), Linear(last, classes)),
        )


MODELS = (
    Entry(
        "mobilenet_v2",
        "MobileNetV2",
        MobileNetV2,
        image(224, 224),
        3_504_872,
        301_000_000,
        "Sandler et al. 2018; counts: torchvision",
    ),
)
