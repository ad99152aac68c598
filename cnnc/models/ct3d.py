"""A 3-D network that classifies CT volumes: 17 layers, from 64 slices of 128 x 128 voxels to one probability.

Source: Zunair et al., Uniformizing Techniques to Process CT Scans with 3D CNNs for Tuberculosis Prediction, PRIME at
MICCAI 2020; the sizes are those of its author's example for Keras (1,352,897 numbers, 1,024 of them statistics).
"""

from __future__ import annotations

from cnnc.dsl import (
    BatchNorm,
    Conv3d,
    Linear,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    dropout,
    flatten,
    global_avg_pool,
    relu,
    sigmoid,
)
from cnnc.models.catalog import Entry, image


def _block(in_channels: int, out_channels: int) -> Sequential:
    return Sequential(
        conv=Conv3d(in_channels, out_channels, 3), act=relu, pool=MaxPool(2), norm=BatchNorm(out_channels, eps=1e-3)
    )


class CT3d(Module):
    """[N, 1, D, H, W] -> [N, 1], the probability of the finding."""

    def __init__(self) -> None:
        self.blocks = Sequential(_block(1, 64), _block(64, 64), _block(64, 128), _block(128, 256))
        self.fc1 = Linear(256, 512)
        self.fc2 = Linear(512, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A probability."""
        x = flatten(global_avg_pool(self.blocks(x)))
        x = dropout(relu(self.fc1(x)), 0.3)
        return sigmoid(self.fc2(x))


_SOURCE = "Zunair et al. 2020; parameters: 3D image classification from CT scans, keras.io; MACs by formula"

MODELS = (
    Entry(
        "ct3d", "3-D network for CT volumes", CT3d, image(64, 128, 128, channels=1), 1_351_873, 16_225_401_856, _SOURCE
    ),
)
