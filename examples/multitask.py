"""One trunk, three heads: a network with several named outputs.

cnnc run examples/multitask.py:model --random 0
python examples/multitask.py
"""

from __future__ import annotations

import numpy as np

import cnnc
from cnnc import dsl


def conv(in_channels: int, out_channels: int, stride: int) -> dsl.Sequential:
    """3x3 convolution, normalization, ReLU."""
    return dsl.Sequential(
        dsl.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        dsl.BatchNorm(out_channels),
        dsl.relu,
    )


class MultiTask(dsl.Module):
    """From one image: its class, where the object is, and which pixels are part of it."""

    def __init__(self, classes: int = 10) -> None:
        self.trunk = dsl.Sequential(conv(3, 16, 2), conv(16, 32, 2), conv(32, 64, 2))
        self.classifier = dsl.Linear(64, classes)
        self.box = dsl.Linear(64, 4)
        self.mask = dsl.Sequential(dsl.Conv2d(64, 1, 1), dsl.Upsample(8, mode="linear"), dsl.sigmoid)

    def forward(self, image: dsl.Tensor) -> dict[str, dsl.Tensor]:
        """image [N, 3, H, W] -> scores [N, classes], box [N, 4] in 0..1, mask [N, 1, H, W] in 0..1."""
        features = self.trunk(image)
        pooled = dsl.flatten(dsl.global_avg_pool(features))
        return {
            "scores": self.classifier(pooled),
            "box": dsl.sigmoid(self.box(pooled)),
            "mask": self.mask(features),
        }


model = dsl.model(MultiTask(), {"image": ("N", 3, 64, 64)}, name="multitask")


def main() -> None:
    """All three answers of one run."""
    compiled = cnnc.compile(model)
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    for name, array in compiled.run({"image": image}).items():
        print(f"{name:8} {array.shape}")


if __name__ == "__main__":
    main()
