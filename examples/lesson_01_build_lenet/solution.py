"""Exercise 1, solved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import cnnc
from cnnc import dsl


def conv_cost(
    in_shape: Sequence[int], out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> tuple[tuple[int, int, int], int, int]:
    """(OC, OH, OW), parameters and MACs of a square 2-D convolution with bias."""
    in_channels, *extent = in_shape
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in extent)
    # One output of one channel is a sum of this many products.
    taps = in_channels // groups * kernel * kernel
    return (out_channels, height, width), out_channels * (taps + 1), out_channels * height * width * taps


class LeNet1998(dsl.Module):
    """image [N, 1, 32, 32] -> scores [N, 10]."""

    def __init__(self) -> None:
        self.conv1 = dsl.Conv2d(1, 6, 5)
        self.conv2 = dsl.Conv2d(6, 16, 5)
        self.conv3 = dsl.Conv2d(16, 120, 5)
        self.fc1 = dsl.Linear(120, 84)
        self.fc2 = dsl.Linear(84, 10)

    def forward(self, image: dsl.Tensor) -> dict[str, dsl.Tensor]:
        """Class scores."""
        x = dsl.avg_pool(dsl.tanh(self.conv1(image)), 2)
        x = dsl.avg_pool(dsl.tanh(self.conv2(x)), 2)
        x = dsl.flatten(dsl.tanh(self.conv3(x)))
        return {"scores": self.fc2(dsl.tanh(self.fc1(x)))}


def lenet_1998() -> dsl.Model:
    """LeNet-5 nearly as it was published."""
    return dsl.model(LeNet1998(), {"image": ("N", 1, 32, 32)})


def classify(model: dsl.Model, images: np.ndarray, names: Sequence[str]) -> list[str]:
    """The names of the classes of images uint8 [N, 28, 28]."""
    pixels = (images[:, None].astype(np.float32) / 255 - np.float32(0.2860)) / np.float32(0.3530)
    [scores] = cnnc.compile(model).run({"image": pixels}).values()
    return [names[index] for index in scores.argmax(axis=1)]
