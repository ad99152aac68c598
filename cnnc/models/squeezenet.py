"""SqueezeNet: AlexNet's accuracy with fifty times fewer parameters.

Source: Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, arXiv
1602.07360, 2016; version 1.1, with smaller kernels and earlier pools, is from the authors' repository.
"""

from __future__ import annotations

from cnnc.dsl import (
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    concat,
    relu,
)
from cnnc.models.catalog import Entry, image


class Fire(Module):
    """A 1x1 convolution to few maps, then 1x1 and 3x3 convolutions side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        self.squeeze = Conv2d(channels, squeezed, 1)
        self.expand1x1 = Conv2d(squeezed, expanded, 1)
        self.expand3x3 = Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 2 expanded, H, W]."""
        x = relu(self.squeeze(x))
        return concat([relu(self.expand1x1(x)), relu(self.expand3x3(x))])


def squeezenet1_0(classes: int = 1000) -> Sequential:
    """Version 1.0: [N, 3, 224, 224] -> [N, K]."""
    features = Sequential(
        *(Conv2d(3, 96, 7, stride=2), relu, _pool()),
        *(Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), _pool()),
        *(Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), _pool()),
        Fire(512, 64, 256),
    )
    return Sequential(features=features, classifier=_classifier(classes), flatten=Flatten())


def squeezenet1_1(classes: int = 1000) -> Sequential:
    """Version 1.1: [N, 3, 224, 224] -> [N, K]."""
    features = Sequential(
        *(Conv2d(3, 64, 3, stride=2), relu, _pool()),
        *(Fire(64, 16, 64), Fire(128, 16, 64), _pool()),
        *(Fire(128, 32, 128), Fire(256, 32, 128), _pool()),
        *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
    )
    return Sequential(features=features, classifier=_classifier(classes), flatten=Flatten())


def _pool() -> Module:
    return MaxPool(3, stride=2, ceil_mode=True)


def _classifier(classes: int) -> Sequential:
    return Sequential(Dropout(), Conv2d(512, classes, 1), relu, GlobalAvgPool())


_SOURCE = "Iandola et al. 2016; counts: torchvision"

MODELS = (
    Entry("squeezenet1_0", "SqueezeNet 1.0", squeezenet1_0, image(224, 224), 1_248_424, 819_000_000, _SOURCE),
    Entry("squeezenet1_1", "SqueezeNet 1.1", squeezenet1_1, image(224, 224), 1_235_496, 349_000_000, _SOURCE),
)
