"""MobileNet: every convolution but the first is a depthwise one, then a 1x1 one.

Source: Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, arXiv
1704.04861, 2017, table 1.
"""

from __future__ import annotations

from cnnc.dsl import Flatten, GlobalAvgPool, Linear, Network, Sequential
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import ConvNorm

LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Channels and stride of each pair of convolutions."""


class MobileNetV1(Sequential):
    """[N, 3, 224, 224] -> [N, K].

    Args:
        width: multiplies all channel counts (the paper's alpha).
    """

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = int(32 * width)
        steps: list[Network] = [ConvNorm(3, channels, 3, stride=2)]
        for full, stride in LAYERS:
            out_channels = int(full * width)
            steps.append(ConvNorm(channels, channels, 3, stride=stride, groups=channels))
            steps.append(ConvNorm(channels, out_channels, 1))
            channels = out_channels
        super().__init__(
            features=Sequential(*steps), avgpool=GlobalAvgPool(), flatten=Flatten(), fc=Linear(channels, classes)
        )


MODELS = (
    Entry(
        "mobilenet_v1",
        "MobileNet v1",
        MobileNetV1,
        image(224, 224),
        4_231_976,
        569_000_000,
        "Howard et al. 2017, whose MACs these are; parameters: Keras, the trainable ones",
    ),
)
