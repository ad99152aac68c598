"""ZFNet: AlexNet with a finer first layer, found by looking at what its layers respond to.

Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, figure 3.
"""

from __future__ import annotations

from cnnc.dsl import Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool, Sequential, relu
from cnnc.models.catalog import Entry, image


class ZFNet(Sequential):
    """Five convolutions, normalized across maps after the first two pools; [N, 3, 224, 224] -> [N, K]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(
            features=Sequential(
                *(Conv2d(3, 96, 7, stride=2, padding=1), relu, MaxPool(3, stride=2, padding=1), LocalResponseNorm(5)),
                *(Conv2d(96, 256, 5, stride=2), relu, MaxPool(3, stride=2, padding=1), LocalResponseNorm(5)),
                *(Conv2d(256, 384, 3, padding=1), relu),
                *(Conv2d(384, 384, 3, padding=1), relu),
                *(Conv2d(384, 256, 3, padding=1), relu, MaxPool(3, stride=2)),
            ),
            flatten=Flatten(),
            classifier=Sequential(
                *(Dropout(), Linear(256 * 6 * 6, 4096), relu),
                *(Dropout(), Linear(4096, 4096), relu),
                Linear(4096, classes),
            ),
        )


MODELS = (
    Entry(
        "zfnet",
        "ZFNet",
        ZFNet,
        image(224, 224),
        62_357_608,
        1_168_032_896,
        "Zeiler and Fergus 2014; counts: by hand from the layer sizes of figure 3 (maps of 110, 26, 13, 13 and 13 "
        "pixels a side)",
    ),
)
