"""DenseNet: each layer sees the maps of all layers before it in its block.

Source: Huang et al., Densely Connected Convolutional Networks, CVPR 2017, the form with bottlenecks and compression.
"""

from __future__ import annotations

from functools import partial

from cnnc.dsl import (
    AvgPool,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Module,
    Network,
    Sequential,
    Tensor,
    concat,
    relu,
)
from cnnc.models.catalog import Entry, image


class DenseLayer(Module):
    """1x1 and 3x3 convolutions, each after normalization and ReLU, whose ``growth`` maps join the input's."""

    def __init__(self, channels: int, growth: int) -> None:
        self.norm1 = BatchNorm(channels)
        self.conv1 = Conv2d(channels, 4 * growth, 1, bias=False)
        self.norm2 = BatchNorm(4 * growth)
        self.conv2 = Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, C + growth, H, W]."""
        y = self.conv1(relu(self.norm1(x)))
        y = self.conv2(relu(self.norm2(y)))
        return concat([x, y])


class DenseNet(Sequential):
    """Four dense blocks with transitions that halve channels and sizes: [N, 3, 224, 224] -> [N, K].

    Args:
        counts: layers of each block.
        growth: maps that each layer adds.
        stem: maps of the first convolution.
    """

    def __init__(self, counts: tuple[int, ...], *, growth: int = 32, stem: int = 64, classes: int = 1000) -> None:
        steps: dict[str, Network] = {
            "conv0": Conv2d(3, stem, 7, stride=2, padding=3, bias=False),
            "norm0": BatchNorm(stem),
            "relu0": relu,
            "pool0": MaxPool(3, stride=2, padding=1),
        }
        channels = stem
        for block, count in enumerate(counts, start=1):
            layers = [DenseLayer(channels + growth * index, growth) for index in range(count)]
            steps[f"denseblock{block}"] = Sequential(
                **{f"denselayer{index}": layer for index, layer in enumerate(layers, start=1)}
            )
            channels += growth * count
            if block < len(counts):
                steps[f"transition{block}"] = _transition(channels)
                channels //= 2
        super().__init__(
            features=Sequential(**steps, norm5=BatchNorm(channels)),
            relu=relu,
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            classifier=Linear(channels, classes),
        )


def _transition(channels: int) -> Sequential:
    return Sequential(
        norm=BatchNorm(channels),
        relu=relu,
        conv=Conv2d(channels, channels // 2, 1, bias=False),
        pool=AvgPool(2),
    )


densenet121 = partial(DenseNet, (6, 12, 24, 16))
densenet161 = partial(DenseNet, (6, 12, 36, 24), growth=48, stem=96)
densenet169 = partial(DenseNet, (6, 12, 32, 32))
densenet201 = partial(DenseNet, (6, 12, 48, 32))

_SOURCE = "Huang et al. 2017; counts: torchvision"

MODELS = (
    Entry("densenet121", "DenseNet-121", densenet121, image(224, 224), 7_978_856, 2_834_000_000, _SOURCE),
    Entry("densenet161", "DenseNet-161", densenet161, image(224, 224), 28_681_000, 7_728_000_000, _SOURCE),
    Entry("densenet169", "DenseNet-169", densenet169, image(224, 224), 14_149_480, 3_360_000_000, _SOURCE),
    Entry("densenet201", "DenseNet-201", densenet201, image(224, 224), 20_013_928, 4_291_000_000, _SOURCE),
)
