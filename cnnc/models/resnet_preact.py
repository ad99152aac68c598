"""ResNets with pre-activation: normalization and ReLU stand before each convolution, and the shortcut stays free.

Source: He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, figure 4 (e). The stride is on the 3x3
convolution of a bottleneck, as in ``resnet``.
"""

from __future__ import annotations

from functools import partial

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
from cnnc.models.resnet import COUNTS, Block, stage


class PreActBlock(Module):
    """Two 3x3 convolutions, each after normalization and ReLU, and a shortcut.

    Args:
        channels: of the input.
        width: maps of the block; it gives as many.
        stride: of the first convolution.
    """

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        self.bn1 = BatchNorm(channels)
        self.conv1 = Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = BatchNorm(width)
        self.conv2 = Conv2d(width, width, 3, padding=1, bias=False)
        self.downsample = _downsample(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, width, H / stride, W / stride]."""
        before = relu(self.bn1(x))
        y = self.conv1(before)
        y = self.conv2(relu(self.bn2(y)))
        return y + (x if self.downsample is None else self.downsample(before))


class PreActBottleneck(Module):
    """1x1, 3x3 and 1x1 convolutions, each after normalization and ReLU, and a shortcut.

    Args:
        channels: of the input.
        width: maps inside; the block gives four times as many.
        stride: of the 3x3 convolution.
    """

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        self.bn1 = BatchNorm(channels)
        self.conv1 = Conv2d(channels, width, 1, bias=False)
        self.bn2 = BatchNorm(width)
        self.conv2 = Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn3 = BatchNorm(width)
        self.conv3 = Conv2d(width, 4 * width, 1, bias=False)
        self.downsample = _downsample(channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 4 width, H / stride, W / stride]."""
        before = relu(self.bn1(x))
        y = self.conv1(before)
        y = self.conv2(relu(self.bn2(y)))
        y = self.conv3(relu(self.bn3(y)))
        return y + (x if self.downsample is None else self.downsample(before))


def _downsample(channels: int, out_channels: int, stride: int) -> Conv2d | None:
    if stride == 1 and channels == out_channels:
        return None
    return Conv2d(channels, out_channels, 1, stride=stride, bias=False)


class PreActResNet(Sequential):
    """Four stages of pre-activated blocks: [N, 3, 224, 224] -> [N, K]."""

    def __init__(self, depth: int, *, classes: int = 1000) -> None:
        counts = COUNTS[depth]
        block: Block = PreActBlock if depth < 50 else PreActBottleneck
        expansion = PreActBlock.expansion if depth < 50 else PreActBottleneck.expansion
        super().__init__(
            conv1=Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            bn1=BatchNorm(64),
            relu1=relu,
            maxpool=MaxPool(3, stride=2, padding=1),
            layer1=stage(block, counts[0], 64, 64, 1, expansion),
            layer2=stage(block, counts[1], 64 * expansion, 128, 2, expansion),
            layer3=stage(block, counts[2], 128 * expansion, 256, 2, expansion),
            layer4=stage(block, counts[3], 256 * expansion, 512, 2, expansion),
            bn2=BatchNorm(512 * expansion),
            relu2=relu,
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            fc=Linear(512 * expansion, classes),
        )


_COUNTS = {
    18: (11_687_848, 1_814_000_000),
    34: (21_796_008, 3_664_000_000),
    50: (25_549_480, 4_089_000_000),
    101: (44_541_608, 7_801_000_000),
    152: (60_185_256, 11_514_000_000),
}
"""Parameters and MACs by depth."""

_SOURCE = (
    "He et al. 2016 (Identity Mappings); parameters: imgclsmob, MACs: torchvision's of the ResNet of this depth, whose "
    "convolutions have the same sizes"
)

MODELS = tuple(
    Entry(
        f"resnet{depth}_preact",
        f"ResNet-{depth} with pre-activation",
        partial(PreActResNet, depth),
        image(224, 224),
        parameters,
        macs,
        _SOURCE,
    )
    for depth, (parameters, macs) in _COUNTS.items()
)
