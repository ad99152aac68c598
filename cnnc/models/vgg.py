"""VGG: 3x3 convolutions only, deeper and deeper.

Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, table 1:
configurations A, B, D and E; with batch normalization as torchvision adds it.
"""

from __future__ import annotations

from functools import partial

from cnnc.dsl import AdaptiveAvgPool, BatchNorm, Conv2d, Dropout, Flatten, Linear, MaxPool, Network, Sequential, relu
from cnnc.models.catalog import Entry, image

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions before each of the five pools, by the number of layers with weights."""


class VGG(Sequential):
    """VGG of a depth: [N, 3, 224, 224] -> [N, K]."""

    def __init__(self, depth: int, *, norm: bool = False, classes: int = 1000) -> None:
        steps: list[Network] = []
        channels = 3
        for count, width in zip(CONVOLUTIONS[depth], (64, 128, 256, 512, 512)):
            for _ in range(count):
                steps += [Conv2d(channels, width, 3, padding=1), *([BatchNorm(width)] if norm else []), relu]
                channels = width
            steps.append(MaxPool(2))
        super().__init__(
            features=Sequential(*steps),
            avgpool=AdaptiveAvgPool(7),
            flatten=Flatten(),
            classifier=Sequential(
                *(Linear(512 * 7 * 7, 4096), relu, Dropout()),
                *(Linear(4096, 4096), relu, Dropout()),
                Linear(4096, classes),
            ),
        )


_COUNTS = {
    11: (132_863_336, 132_868_840, 7_609_000_000),
    13: (133_047_848, 133_053_736, 11_308_000_000),
    16: (138_357_544, 138_365_992, 15_470_000_000),
    19: (143_667_240, 143_678_248, 19_632_000_000),
}
"""By depth: parameters, parameters with batch normalization, MACs."""

_SOURCE = "Simonyan and Zisserman 2015; counts: torchvision"


def _entry(depth: int, norm: bool) -> Entry:
    plain, normalized, macs = _COUNTS[depth]
    network = partial(VGG, depth, norm=norm)
    if norm:
        title = f"VGG-{depth} with batch normalization"
        return Entry(f"vgg{depth}_bn", title, network, image(224, 224), normalized, macs, _SOURCE)
    return Entry(f"vgg{depth}", f"VGG-{depth}", network, image(224, 224), plain, macs, _SOURCE)


MODELS = tuple(_entry(depth, norm) for depth in CONVOLUTIONS for norm in (False, True))
