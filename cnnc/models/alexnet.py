"""AlexNet, the network that made deep learning the way of computer vision, and the form of it with one tower.

Sources: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012: two towers, one
for each of two GPUs, are two groups here. Krizhevsky, One weird trick for parallelizing convolutional neural networks,
arXiv 1404.5997, 2014: one tower, no normalization.
"""

from __future__ import annotations

from cnnc.dsl import (
    AdaptiveAvgPool,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    dropout,
    flatten,
    local_response_norm,
    max_pool,
    relu,
)
from cnnc.models.catalog import Entry, image


class AlexNet(Module):
    """The paper's: five convolutions, three of them in two groups, three linear layers; [N, 3, 224, 224] -> [N, K]."""

    def __init__(self, classes: int = 1000) -> None:
        self.conv1 = Conv2d(3, 96, 11, stride=4, padding=2)
        self.conv2 = Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = Conv2d(256, 384, 3, padding=1)
        self.conv4 = Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = Linear(256 * 6 * 6, 4096)
        self.fc7 = Linear(4096, 4096)
        self.fc8 = Linear(4096, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        x = max_pool(_normalize(relu(self.conv1(x))), 3, stride=2)
        x = max_pool(_normalize(relu(self.conv2(x))), 3, stride=2)
        x = relu(self.conv4(relu(self.conv3(x))))
        x = max_pool(relu(self.conv5(x)), 3, stride=2)
        x = dropout(relu(self.fc6(flatten(x))))
        x = dropout(relu(self.fc7(x)))
        return self.fc8(x)


def _normalize(x: Tensor) -> Tensor:
    # The paper adds 1e-4 times the sum of five squares, where local_response_norm divides alpha by five.
    return local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)


class AlexNetOneTower(Sequential):
    """The form of 2014: fewer maps, no groups, no normalization; [N, 3, 224, 224] -> [N, K]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(
            features=Sequential(
                *(Conv2d(3, 64, 11, stride=4, padding=2), relu, MaxPool(3, stride=2)),
                *(Conv2d(64, 192, 5, padding=2), relu, MaxPool(3, stride=2)),
                *(Conv2d(192, 384, 3, padding=1), relu),
                *(Conv2d(384, 256, 3, padding=1), relu),
                *(Conv2d(256, 256, 3, padding=1), relu, MaxPool(3, stride=2)),
            ),
            avgpool=AdaptiveAvgPool(6),
            flatten=Flatten(),
            classifier=Sequential(
                *(Dropout(), Linear(256 * 6 * 6, 4096), relu),
                *(Dropout(), Linear(4096, 4096), relu),
                Linear(4096, classes),
            ),
        )


MODELS = (
    Entry(
        "alexnet",
        "AlexNet, two groups, LRN",
        AlexNet,
        image(224, 224),
        60_965_224,
        724_000_000,
        "Krizhevsky et al. 2012; counts: Sze et al., Efficient Processing of Deep Neural Networks, 2017, table II",
    ),
    Entry(
        "alexnet_one_tower",
        "AlexNet without groups, as in torchvision",
        AlexNetOneTower,
        image(224, 224),
        61_100_840,
        714_000_000,
        "Krizhevsky 2014; counts: torchvision",
    ),
)
