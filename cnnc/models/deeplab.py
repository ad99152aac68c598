"""DeepLabV3: dilated convolutions see far without pooling maps away.

Source: Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv 1706.05587, in torchvision's
form: ResNet-50 whose last two stages dilate their windows instead of taking strides, so that maps have 1/8 of the
image's size; dilations 12, 24 and 36 in the pyramid; no auxiliary head.
"""

from __future__ import annotations

from cnnc.dsl import (
    BatchNorm,
    Conv2d,
    Dropout,
    GlobalAvgPool,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    concat,
    relu,
    resize,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import ConvNorm
from cnnc.models.resnet import Bottleneck, stage


def _dilated_stage(count: int, channels: int, width: int, *, first: int, rest: int) -> Sequential:
    """Blocks without strides: the first has the dilation of the stage before."""
    more = [Bottleneck(4 * width, width, dilation=rest) for _ in range(count - 1)]
    return Sequential(Bottleneck(channels, width, dilation=first), *more)


def _backbone() -> Sequential:
    """[N, 3, H, W] -> [N, 2048, H/8, W/8]."""
    return Sequential(
        conv1=Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        bn1=BatchNorm(64),
        relu=relu,
        maxpool=MaxPool(3, stride=2, padding=1),
        layer1=stage(Bottleneck, 3, 64, 64, 1, Bottleneck.expansion),
        layer2=stage(Bottleneck, 4, 256, 128, 2, Bottleneck.expansion),
        layer3=_dilated_stage(6, 512, 256, first=1, rest=2),
        layer4=_dilated_stage(3, 1024, 512, first=2, rest=4),
    )


class ASPP(Module):
    """Atrous spatial pyramid pooling: windows of several reaches and the whole image, side by side."""

    def __init__(self, in_channels: int, channels: int, dilations: tuple[int, ...]) -> None:
        self.convs = [
            ConvNorm(in_channels, channels, 1),
            *(ConvNorm(in_channels, channels, 3, dilation=dilation) for dilation in dilations),
            Sequential(GlobalAvgPool(), *ConvNorm(in_channels, channels, 1).steps.values()),
        ]
        self.project = Sequential(*ConvNorm((len(dilations) + 2) * channels, channels, 1).steps.values(), Dropout())

    def forward(self, x: Tensor) -> Tensor:
        """x [N, IC, H, W] -> [N, OC, H, W]."""
        *maps, whole = [branch(x) for branch in self.convs]
        return self.project(concat([*maps, resize(whole, (x.size(2), x.size(3)), mode="linear")]))


class DeepLabV3(Module):
    """[N, 3, H, W] -> [N, classes, H, W]."""

    def __init__(self, classes: int = 21) -> None:
        self.backbone = _backbone()
        head = ConvNorm(256, 256, 3)
        self.classifier = Sequential(ASPP(2048, 256, (12, 24, 36)), *head.steps.values(), Conv2d(256, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of each pixel."""
        scores = self.classifier(self.backbone(x))
        return resize(scores, (x.size(2), x.size(3)), mode="linear")


_SOURCE = "Chen et al. 2017; counts: torchvision (42,004,074; 178.72 G) but its auxiliary head (2,365,205; 9.99 G)"

MODELS = (
    Entry(
        "deeplabv3_resnet50",
        "DeepLabV3 on dilated ResNet-50",
        DeepLabV3,
        image(520, 520),
        42_004_074 - 2_365_205,
        168_731_000_000,
        _SOURCE,
    ),
)
