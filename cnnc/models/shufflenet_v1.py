"""ShuffleNet: grouped 1x1 convolutions, with channels shuffled so that groups learn from each other.

Source: Zhang et al., ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices, CVPR 2018.
"""

from __future__ import annotations

from functools import partial

from cnnc.dsl import (
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    avg_pool,
    channel_shuffle,
    concat,
    relu,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import ConvNorm

WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Channels of the first stage by the number of groups: about the same operations for each (table 1)."""


class ShuffleUnit(Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1.

    With stride 1 the result is added to the input, with stride 2 it is joined with the input's mean pool.

    Args:
        first_groups: groups of the first 1x1 convolution.
        groups: groups of the last one, and of the shuffle.
    """

    def __init__(self, channels: int, out_channels: int, stride: int, *, first_groups: int, groups: int) -> None:
        inside = out_channels // 4
        made = out_channels - channels if stride == 2 else out_channels
        self.stride, self.groups = stride, groups
        self.conv1 = Conv2d(channels, inside, 1, groups=first_groups, bias=False)
        self.bn1 = BatchNorm(inside)
        self.conv2 = DepthwiseConv2d(inside, 3, stride=stride, padding=1, bias=False)
        self.bn2 = BatchNorm(inside)
        self.conv3 = Conv2d(inside, made, 1, groups=groups, bias=False)
        self.bn3 = BatchNorm(made)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, out_channels, H / stride, W / stride]."""
        y = channel_shuffle(relu(self.bn1(self.conv1(x))), self.groups)
        y = self.bn2(self.conv2(y))
        y = self.bn3(self.conv3(y))
        if self.stride == 2:
            return relu(concat([avg_pool(x, 3, stride=2, padding=1), y]))
        return relu(x + y)


class ShuffleNetV1(Sequential):
    """[N, 3, 224, 224] -> [N, K]."""

    def __init__(self, groups: int, *, classes: int = 1000) -> None:
        width = WIDTHS[groups]
        super().__init__(
            stem=ConvNorm(3, 24, 3, stride=2),
            maxpool=MaxPool(3, stride=2, padding=1),
            # The first 1x1 convolution is not grouped: its input has few channels.
            stage2=_stage(4, 24, width, groups, first_groups=1),
            stage3=_stage(8, width, 2 * width, groups, first_groups=groups),
            stage4=_stage(4, 2 * width, 4 * width, groups, first_groups=groups),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            fc=Linear(4 * width, classes),
        )


def _stage(count: int, channels: int, out_channels: int, groups: int, *, first_groups: int) -> Sequential:
    rest = [ShuffleUnit(out_channels, out_channels, 1, first_groups=groups, groups=groups) for _ in range(count - 1)]
    return Sequential(ShuffleUnit(channels, out_channels, 2, first_groups=first_groups, groups=groups), *rest)


_COUNTS = {
    1: (1_531_936, 143_000_000),
    2: (1_733_848, 140_000_000),
    3: (1_865_728, 137_000_000),
    4: (1_968_344, 133_000_000),
    8: (2_434_768, 137_000_000),
}
"""By groups: parameters, and MACs of table 1, which leaves out the linear layer."""

MODELS = tuple(
    Entry(
        f"shufflenet_v1_g{groups}",
        f"ShuffleNet v1, groups={groups}",
        partial(ShuffleNetV1, groups),
        image(224, 224),
        parameters,
        macs + 1000 * 4 * WIDTHS[groups],
        "Zhang et al. 2018; MACs: table 1 and the linear layer, parameters: imgclsmob",
    )
    for groups, (parameters, macs) in _COUNTS.items()
)
