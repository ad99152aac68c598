"""One trunk, three tasks: what is in the image, where it is, and which pixels belong to it.

Source: Caruana, Multitask Learning, Machine Learning 28, 1997, for hard sharing of a trunk; the sizes are this file's
own.
"""

from __future__ import annotations

from cnnc.dsl import (
    BatchNorm,
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


def _block(in_channels: int, out_channels: int, stride: int = 1) -> Sequential:
    conv = Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return Sequential(conv=conv, norm=BatchNorm(out_channels), act=relu)


class MultiTask(Module):
    """[N, 3, H, W] -> class [N, classes], box [N, 4] and mask [N, 1, H, W], with H and W multiples of 16."""

    def __init__(self, classes: int = 20) -> None:
        self.trunk = Sequential(
            _block(3, 32, stride=2), _block(32, 64, stride=2), _block(64, 128, stride=2), _block(128, 256, stride=2)
        )
        self.shared = Linear(256, 128)
        self.class_head = Linear(128, classes)
        self.box_head = Linear(128, 4)
        self.mask_head = Sequential(_block(256, 64), Conv2d(64, 1, 1))

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
