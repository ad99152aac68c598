"""LeNet-5: a network written in Python, trained weights from a file, and the classes of bundled images.

    cnnc inspect examples/lenet5.py:model
    cnnc run examples/lenet5.py:model --input examples/images/bag.png --top 3 --labels examples/images/labels.txt \\
        --mean 0.2860 --std 0.3530
    python examples/lenet5.py

Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 86, 1998. The
weights were trained on Fashion-MNIST.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import cnnc
from cnnc import dsl

HERE = Path(__file__).parent
MEAN, STD = 0.2860, 0.3530


class LeNet5(dsl.Module):
    """Two convolutions with pools, three linear layers: [N, 1, 28, 28] -> [N, 10]."""

    def __init__(self, classes: int = 10) -> None:
        self.conv1 = dsl.Conv2d(1, 6, 5, padding=2)
        self.conv2 = dsl.Conv2d(6, 16, 5)
        self.fc1 = dsl.Linear(16 * 5 * 5, 120)
        self.fc2 = dsl.Linear(120, 84)
        self.fc3 = dsl.Linear(84, classes)

    def forward(self, image: dsl.Tensor) -> dsl.Tensor:
        """Class scores."""
        x = dsl.max_pool(dsl.relu(self.conv1(image)), 2)
        x = dsl.max_pool(dsl.relu(self.conv2(x)), 2)
        x = dsl.relu(self.fc1(dsl.flatten(x)))
        x = dsl.relu(self.fc2(x))
        return self.fc3(x)


model = dsl.model(LeNet5(), {"image": ("N", 1, 28, 28)}, name="lenet5", init=None)
model.load(HERE / "models" / "lenet5_fashion.safetensors")


def main() -> None:
    """Compile, classify 50 bundled images, and count those that were right."""
    labels = (HERE / "images" / "labels.txt").read_text().splitlines()
    with np.load(HERE / "images" / "fashion50.npz") as data:
        images, truth = data["images"], data["labels"]
    compiled = cnnc.compile(model)
    pixels = (images[:, None].astype(np.float32) / 255 - MEAN) / STD
    classes = compiled.run({"image": pixels})["output"].argmax(1)
    print(f"{model.name}: {model.parameter_count:,} parameters, {model.macs():,} MACs an image")
    for image in range(5):
        print(f"image {image}: {labels[classes[image]]:12} (it is a {labels[truth[image]]})")
    print(f"{np.sum(classes == truth)} of {len(truth)} images are classified right")


if __name__ == "__main__":
    main()
