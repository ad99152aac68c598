"""One trunk, three tasks: what is in the image, where it is, and which pixels belong to it.

Source: Caruana, Multitask Learning, Machine Learning 28, 1997, for hard sharing of a trunk; the sizes are this file's
own.
"""

from __future__ import annotations

from cnnc.dsl import (
    Conv2d,
    Linear,
    Module,
    Sequential,
    Tensor,
    flatten,
    global_avg_pool,
    relu,
    sigmoid,
    softmax,
    upsample,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import ConvNorm


class MultiTask(Module):
    """[N, 3, H, W] -> class [N, classes], box [N, 4] and mask [N, 1, H, W], with H and W multiples of 16."""

    def __init__(self, classes: int = 20) -> None:
        self.trunk = Sequential(
            ConvNorm(3, 32, 3, stride=2),
            ConvNorm(32, 64, 3, stride=2),
            ConvNorm(64, 128, 3, stride=2),
            ConvNorm(128, 256, 3, stride=2),
        )
        self.shared = Linear(256, 128)
        self.class_head = Linear(128, classes)
        self.box_head = Linear(128, 4)
        self.mask_head = Sequential(ConvNorm(256, 64, 3), Conv2d(64, 1, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Probabilities of the classes; centre, height and width of the box in 0..1; probability of each pixel."""
        features = self.trunk(x)
        vector = relu(self.shared(flatten(global_avg_pool(features))))
        mask = upsample(self.mask_head(features), 16, mode="linear")
        return {
            "class": softmax(self.class_head(vector)),
            "box": sigmoid(self.box_head(vector)),
            "mask": sigmoid(mask),
        }


_SOURCE = "this file's own; counts by formula"

MODELS = (Entry("multitask", "One trunk, three heads", MultiTask, image(128, 128), 572_537, 69_639_168, _SOURCE),)
