"""EfficientNet-B0: MobileNetV2's blocks with gates and SiLU, from a search for accuracy an operation.

Source: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, table 1.
"""

from __future__ import annotations

from cnnc.dsl import Dropout, Flatten, GlobalAvgPool, Linear, Module, Network, Sequential, Tensor, swish
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import ConvNorm
from cnnc.models.squeeze_excite import SqueezeExcite

STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Expansion, kernel, the first block's stride, channels, blocks."""


class MBConv(Module):
    """1x1 convolution to more maps, depthwise convolution, gates, 1x1 back, and a shortcut where shapes agree."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        inside = channels * expansion
        widen = [ConvNorm(channels, inside, 1, act=swish)] if expansion != 1 else []
        self.block = Sequential(
            *widen,
            ConvNorm(inside, inside, kernel, stride=stride, groups=inside, act=swish),
            SqueezeExcite(inside, channels // 4, act=swish),
            ConvNorm(inside, out_channels, 1, act=None),
        )
        self.has_shortcut = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, out_channels, H / stride, W / stride]."""
        return x + self.block(x) if self.has_shortcut else self.block(x)


class EfficientNetB0(Sequential):
    """[N, 3, 224, 224] -> [N, K]."""

    def __init__(self, classes: int = 1000) -> None:
        channels = 32
        steps: list[Network] = [ConvNorm(3, channels, 3, stride=2, act=swish)]
        for expansion, kernel, stride, out_channels, count in STAGES:
            first = MBConv(channels, out_channels, kernel, stride, expansion)
            rest = [MBConv(out_channels, out_channels, kernel, 1, expansion) for _ in range(count - 1)]
            steps.append(Sequential(first, *rest))
            channels = out_channels
        steps.append(ConvNorm(channels, 1280, 1, act=swish))
        super().__init__(
            features=Sequential(*steps),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            classifier=Sequential(Dropout(0.2), Linear(1280, classes)),
        )


MODELS = (
    Entry(
        "efficientnet_b0",
        "EfficientNet-B0",
        EfficientNetB0,
        image(224, 224),
        5_288_548,
        386_000_000,
        "Tan and Le 2019; counts: torchvision",
    ),
)
