"""ResNet, ResNeXt and Wide ResNet: blocks that add what they compute to what they were given.

Sources: He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (with the stride on the 3x3 convolution of a
bottleneck, as torchvision has it); Xie et al., Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017;
Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from cnnc.dsl import (
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    relu,
)
from cnnc.models.catalog import Entry, image

Attention: TypeAlias = Callable[[int], Module]
"""Makes what weighs the channels or pixels of a block's result, for its number of channels."""


class BasicBlock(Module):
    """Two 3x3 convolutions and a shortcut.

    Args:
        channels: of the input.
        width: maps of the block; it gives ``expansion`` times as many.
        stride: of its first 3x3 convolution.
        attention: weighs the maps before the shortcut is added.
    """

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int = 1, *, attention: Attention | None = None) -> None:
        self.conv1 = Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm(width)
        self.conv2 = Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(width)
        self.attention = None if attention is None else attention(width)
        self.downsample = _downsample(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, width, H / stride, W / stride]."""
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.attention is not None:
            y = self.attention(y)
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut.

    Args:
        channels: of the input.
        width: maps inside for groups of 64; the block gives ``expansion`` times as many.
        stride: of its 3x3 convolution.
        groups: of the 3x3 convolution (ResNeXt's cardinality).
        base_width: maps of a group in the first stage.
        dilation: of the 3x3 convolution.
        attention: weighs the maps before the shortcut is added.
    """

    expansion = 4

    def __init__(
        self,
        channels: int,
        width: int,
        stride: int = 1,
        *,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        attention: Attention | None = None,
    ) -> None:
        inside = width * base_width // 64 * groups
        self.conv1 = Conv2d(channels, inside, 1, bias=False)
        self.bn1 = BatchNorm(inside)
        self.conv2 = Conv2d(
            inside, inside, 3, stride=stride, padding=dilation, dilation=dilation, groups=groups, bias=False
        )
        self.bn2 = BatchNorm(inside)
        self.conv3 = Conv2d(inside, 4 * width, 1, bias=False)
        self.bn3 = BatchNorm(4 * width)
        self.attention = None if attention is None else attention(4 * width)
        self.downsample = _downsample(channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 4 width, H / stride, W / stride]."""
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.attention is not None:
            y = self.attention(y)
        return relu(y + (x if self.downsample is None else self.downsample(x)))


def _downsample(channels: int, out_channels: int, stride: int) -> Sequential | None:
    """What gives the shortcut the shape of the block's result; None where it has it."""
    if stride == 1 and channels == out_channels:
        return None
    return Sequential(Conv2d(channels, out_channels, 1, stride=stride, bias=False), BatchNorm(out_channels))


Block: TypeAlias = Callable[[int, int, int], Module]
"""Makes a block of (channels, width, stride)."""


class ResNet(Sequential):
    """Four stages of residual blocks: [N, 3, 224, 224] -> [N, K].

    Args:
        block: makes a block.
        counts: blocks of each stage.
        expansion: channels that a block gives for its width.
    """

    def __init__(self, block: Block, counts: tuple[int, ...], *, expansion: int, classes: int = 1000) -> None:
        super().__init__(
            conv1=Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            bn1=BatchNorm(64),
            relu=relu,
            maxpool=MaxPool(3, stride=2, padding=1),
            layer1=stage(block, counts[0], 64, 64, 1, expansion),
            layer2=stage(block, counts[1], 64 * expansion, 128, 2, expansion),
            layer3=stage(block, counts[2], 128 * expansion, 256, 2, expansion),
            layer4=stage(block, counts[3], 256 * expansion, 512, 2, expansion),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            fc=Linear(512 * expansion, classes),
        )


def stage(block: Block, count: int, channels: int, width: int, stride: int, expansion: int) -> Sequential:
    """``count`` blocks, the first of which takes ``channels`` and has the stride."""
    rest = [block(width * expansion, width, 1) for _ in range(count - 1)]
    return Sequential(block(channels, width, stride), *rest)


COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of each stage, by depth; from 50 on they are bottlenecks."""


def resnet(
    depth: int, *, groups: int = 1, base_width: int = 64, attention: Attention | None = None, classes: int = 1000
) -> ResNet:
    """ResNet of a depth; ``groups`` and ``base_width`` widen the bottlenecks of depths from 50 on."""
    if depth < 50:
        plain = partial(BasicBlock, attention=attention)
        return ResNet(plain, COUNTS[depth], expansion=BasicBlock.expansion, classes=classes)
    block = partial(Bottleneck, groups=groups, base_width=base_width, attention=attention)
    return ResNet(block, COUNTS[depth], expansion=Bottleneck.expansion, classes=classes)


def _entry(name: str, title: str, network: Callable[[], ResNet], parameters: int, macs: int, source: str) -> Entry:
    return Entry(name, title, network, image(224, 224), parameters, macs, f"{source}; counts: torchvision")


_RESNET, _RESNEXT, _WIDE = "He et al. 2016", "Xie et al. 2017", "Zagoruyko and Komodakis 2016"

MODELS = (
    _entry("resnet18", "ResNet-18", partial(resnet, 18), 11_689_512, 1_814_000_000, _RESNET),
    _entry("resnet34", "ResNet-34", partial(resnet, 34), 21_797_672, 3_664_000_000, _RESNET),
    _entry("resnet50", "ResNet-50", partial(resnet, 50), 25_557_032, 4_089_000_000, _RESNET),
    _entry("resnet101", "ResNet-101", partial(resnet, 101), 44_549_160, 7_801_000_000, _RESNET),
    _entry("resnet152", "ResNet-152", partial(resnet, 152), 60_192_808, 11_514_000_000, _RESNET),
    _entry(
        "resnext50_32x4d",
        "ResNeXt-50, 32 groups of 4",
        partial(resnet, 50, groups=32, base_width=4),
        25_028_904,
        4_230_000_000,
        _RESNEXT,
    ),
    _entry(
        "resnext101_32x8d",
        "ResNeXt-101, 32 groups of 8",
        partial(resnet, 101, groups=32, base_width=8),
        88_791_336,
        16_414_000_000,
        _RESNEXT,
    ),
    _entry(
        "wide_resnet50_2",
        "Wide ResNet-50, twice as wide inside",
        partial(resnet, 50, base_width=128),
        68_883_240,
        11_398_000_000,
        _WIDE,
    ),
    _entry(
        "wide_resnet101_2",
        "Wide ResNet-101, twice as wide inside",
        partial(resnet, 101, base_width=128),
        126_886_696,
        22_753_000_000,
        _WIDE,
    ),
)
