"""LeNet-5 and LeNet-300-100: the first convolutional network in wide use, and the fully connected one beside it.

Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 86, 1998. Where
the paper's C3 joins six maps by a hand-made table and its S layers have two numbers a map, this is the form in use
since: full connections, plain pools, 61,706 parameters.
"""

from __future__ import annotations

from cnnc.dsl import Conv2d, Linear, Module, Tensor, flatten, max_pool, relu
from cnnc.models.catalog import Entry, image


class LeNet5(Module):
    """Two convolutions with pools, three linear layers: [N, 1, 28, 28] -> [N, 10]."""

    def __init__(self, classes: int = 10) -> None:
        self.conv1 = Conv2d(1, 6, 5, padding=2)
        self.conv2 = Conv2d(6, 16, 5)
        self.fc1 = Linear(16 * 5 * 5, 120)
        self.fc2 = Linear(120, 84)
        self.fc3 = Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        x = max_pool(relu(self.conv1(x)), 2)
        x = max_pool(relu(self.conv2(x)), 2)
        x = relu(self.fc1(flatten(x)))
        x = relu(self.fc2(x))
        return self.fc3(x)


class LeNet300(Module):
    """LeNet-300-100: two hidden layers over the pixels, [N, 1, 28, 28] -> [N, 10]."""

    def __init__(self, classes: int = 10) -> None:
        self.fc1 = Linear(28 * 28, 300)
        self.fc2 = Linear(300, 100)
        self.fc3 = Linear(100, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        x = relu(self.fc1(flatten(x)))
        return self.fc3(relu(self.fc2(x)))


_PAPER = "LeCun et al. 1998"

MODELS = (
    Entry("lenet5", "LeNet-5, ReLU and max pools", LeNet5, image(28, 28, channels=1), 61_706, 416_520, _PAPER),
    Entry("lenet_300_100", "LeNet-300-100", LeNet300, image(28, 28, channels=1), 266_610, 266_200, _PAPER),
)
