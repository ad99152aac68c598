"""A detector of the YOLO kind: Tiny YOLOv3 with its raw heads, before boxes are decoded and suppressed.

Each of the H x W cells of a head predicts three boxes of 4 coordinates, one objectness and a score for each class.

Source: Redmon and Farhadi, YOLOv3: An Incremental Improvement, arXiv 1804.02767, and yolov3-tiny.cfg of Darknet.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from cnnc.dsl import Conv2d, Module, Tensor, concat, leaky_relu, max_pool, upsample
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import ConvNorm

_conv = partial(ConvNorm, act=partial(leaky_relu, alpha=0.1))


class TinyYOLOv3(Module):
    """[N, 3, H, W] -> coarse [N, 3*(5 + classes), H/32, W/32] and fine [N, 3*(5 + classes), H/16, W/16]."""

    def __init__(self, classes: int = 80) -> None:
        widths = (3, 16, 32, 64, 128, 256)
        self.trunk = [_conv(before, after, 3) for before, after in pairwise(widths)]
        self.conv6 = _conv(256, 512, 3)
        self.conv7 = _conv(512, 1024, 3)
        self.neck = _conv(1024, 256, 1)
        self.coarse = _conv(256, 512, 3)
        self.coarse_head = Conv2d(512, 3 * (5 + classes), 1)
        self.lateral = _conv(256, 128, 1)
        self.fine = _conv(128 + 256, 256, 3)
        self.fine_head = Conv2d(256, 3 * (5 + classes), 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Raw predictions of both scales."""
        scale16 = x
        for block in self.trunk:
            scale16 = block(x)
            x = max_pool(scale16, 2)
        x = max_pool(self.conv6(x), 2, stride=1, padding=[(0, 1), (0, 1)])
        x = self.neck(self.conv7(x))
        coarse = self.coarse_head(self.coarse(x))
        x = concat([upsample(self.lateral(x), 2), scale16])
        return {"coarse": coarse, "fine": self.fine_head(self.fine(x))}


_SOURCE = "Redmon and Farhadi 2018; 8,858,734 numbers in yolov3-tiny.weights, 6,368 of them statistics; 5.571 BFLOPs"

MODELS = (
    Entry("tiny_yolov3", "Tiny YOLOv3, raw heads", TinyYOLOv3, image(416, 416), 8_852_366, 2_785_500_000, _SOURCE),
)
