"""MobileNetV3: MobileNetV2's blocks with gates and hard-swish, in an order that a search found.

Source: Howard et al., Searching for MobileNetV3, ICCV 2019, tables 1 and 2. Epsilon 0.001 as in torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dsl import (
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    Module,
    Network,
    Sequential,
    Tensor,
    hard_sigmoid,
    hard_swish,
    relu,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.channel_rounding import round_channels
from cnnc.models.conv_norm import ConvNorm
from cnnc.models.squeeze_excite import SqueezeExcite

EPS = 1e-3


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the paper's tables: kernel, channels inside, channels out, gates, activation, stride."""

    kernel: int
    inside: int
    out_channels: int
    has_gates: bool
    act: Network
    stride: int


LARGE = (
    Row(3, 16, 16, False, relu, 1),
    Row(3, 64, 24, False, relu, 2),
    Row(3, 72, 24, False, relu, 1),
    Row(5, 72, 40, True, relu, 2),
    Row(5, 120, 40, True, relu, 1),
    Row(5, 120, 40, True, relu, 1),
    Row(3, 240, 80, False, hard_swish, 2),
    Row(3, 200, 80, False, hard_swish, 1),
    Row(3, 184, 80, False, hard_swish, 1),
    Row(3, 184, 80, False, hard_swish, 1),
    Row(3, 480, 112, True, hard_swish, 1),
    Row(3, 672, 112, True, hard_swish, 1),
    Row(5, 672, 160, True, hard_swish, 2),
    Row(5, 960, 160, True, hard_swish, 1),
    Row(5, 960, 160, True, hard_swish, 1),
)

SMALL = (
    Row(3, 16, 16, True, relu, 2),
    Row(3, 72, 24, False, relu, 2),
    Row(3, 88, 24, False, relu, 1),
    Row(5, 96, 40, True, hard_swish, 2),
    Row(5, 240, 40, True, hard_swish, 1),
    Row(5, 240, 40, True, hard_swish, 1),
    Row(5, 120, 48, True, hard_swish, 1),
    Row(5, 144, 48, True, hard_swish, 1),
    Row(5, 288, 96, True, hard_swish, 2),
    Row(5, 576, 96, True, hard_swish, 1),
    Row(5, 576, 96, True, hard_swish, 1),
)


class InvertedResidual(Module):
    """1x1 convolution to more maps, depthwise convolution, gates, 1x1 back, and a shortcut where shapes agree."""

    def __init__(self, channels: int, row: Row) -> None:
        inside = row.inside
        steps: list[Network] = []
        if inside != channels:
            steps.append(ConvNorm(channels, inside, 1, act=row.act, eps=EPS))
        steps.append(ConvNorm(inside, inside, row.kernel, stride=row.stride, groups=inside, act=row.act, eps=EPS))
        if row.has_gates:
            steps.append(SqueezeExcite(inside, round_channels(inside / 4), gate=hard_sigmoid))
        steps.append(ConvNorm(inside, row.out_channels, 1, act=None, eps=EPS))
        self.block = Sequential(*steps)
        self.has_shortcut = row.stride == 1 and channels == row.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, out_channels, H / stride, W / stride]."""
        return x + self.block(x) if self.has_shortcut else self.block(x)


class MobileNetV3(Sequential):
    """[N, 3, 224, 224] -> [N, K].

    Args:
        rows: its blocks.
        hidden: features of the classifier's inner layer.
    """

    def __init__(self, rows: tuple[Row, ...], *, hidden: int, classes: int = 1000) -> None:
        steps: list[Network] = [ConvNorm(3, 16, 3, stride=2, act=hard_swish, eps=EPS)]
        channels = 16
        for row in rows:
            steps.append(InvertedResidual(channels, row))
            channels = row.out_channels
        last = 6 * channels
        steps.append(ConvNorm(channels, last, 1, act=hard_swish, eps=EPS))
        super().__init__(
            features=Sequential(*steps),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            classifier=Sequential(Linear(last, hidden), hard_swish, Dropout(0.2), Linear(hidden, classes)),
        )


def mobilenet_v3_large(classes: int = 1000) -> MobileNetV3:
    """The large network, of table 1."""
    return MobileNetV3(LARGE, hidden=1280, classes=classes)


def mobilenet_v3_small(classes: int = 1000) -> MobileNetV3:
    """The small network, of table 2."""
    return MobileNetV3(SMALL, hidden=1024, classes=classes)


_SOURCE = "Howard et al. 2019; counts: torchvision"

MODELS = (
    Entry(
        "mobilenet_v3_large", "MobileNetV3 large", mobilenet_v3_large, image(224, 224), 5_483_032, 217_000_000, _SOURCE
    ),
    Entry(
        "mobilenet_v3_small", "MobileNetV3 small", mobilenet_v3_small, image(224, 224), 2_542_856, 57_000_000, _SOURCE
    ),
)
