"""Exercise 1: sizes and costs by hand, a network in the DSL, and a classifier.

Replace the bodies, then: python examples/course.py check 1
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc import dsl


def conv_cost(
    in_shape: Sequence[int], out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> tuple[tuple[int, int, int], int, int]:
    """What a square 2-D convolution with bias gives and costs, for one image.

    Args:
        in_shape: IC, H, W of its input.
        out_channels: OC.
        kernel, stride, padding: the same in both directions; the padding stands at every side.
        groups: each group of OC/groups outputs reads IC/groups inputs.

    Returns:
        (OC, OH, OW), the number of parameters, and of multiply-accumulates.
    """
    raise NotImplementedError("exercise: return the output's shape, the parameters and the MACs")


def lenet_1998() -> dsl.Model:
    """LeNet-5 nearly as it was published: 32x32 images, average pools, tanh.

    image [N, 1, 32, 32]; conv1: 6 channels, 5x5; tanh; average pool 2; conv2: 16 channels, 5x5; tanh; average pool 2;
    conv3: 120 channels, 5x5; tanh; flatten; fc1: 84; tanh; fc2: 10 scores. No layer pads. The attributes of the module
    have the names given here, and the output is called "scores".
    """
    raise NotImplementedError("exercise: write a dsl.Module and return a dsl.model of it")


def classify(model: dsl.Model, images: np.ndarray, names: Sequence[str]) -> list[str]:
    """The names of the classes that a trained network finds in images.

    Args:
        model: image float32 [N, 1, 28, 28], pixels prepared with the mean 0.2860 and the standard deviation 0.3530
            of brightness between 0 and 1; its one output holds scores [N, classes].
        images: uint8 [N, 28, 28], any N, 0 too.
        names: of the classes, in order.
    """
    raise NotImplementedError(
        "exercise: prepare the images, compile and run the model, and name the best class of each"
    )
