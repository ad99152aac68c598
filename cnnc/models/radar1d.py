"""A 1-D network that recognises aircraft by their radar range profiles.

A high-resolution range profile is the echo's strength in each of some hundred range cells along the line of sight.
One-dimensional convolutions find peaks and their spacing wherever the target lies in the window.

Source: Wan et al., Convolutional Neural Networks for Radar HRRP Target Recognition and Rejection, EURASIP Journal on
Advances in Signal Processing 2019, section 3, for the kind of network; the sizes are this file's own.
"""

from __future__ import annotations

from cnnc.dsl import BatchNorm, Conv1d, Linear, MaxPool, Module, Sequential, Tensor, dropout, flatten, relu
from cnnc.models.catalog import Entry, image


def _block(in_channels: int, out_channels: int, kernel: int) -> Sequential:
    """Halves the number of range cells."""
    conv = Conv1d(in_channels, out_channels, kernel, padding="same", bias=False)
    return Sequential(conv=conv, norm=BatchNorm(out_channels), act=relu, pool=MaxPool(2))


class Radar1d(Module):
    """[N, 1, 256] amplitudes by range cell -> [N, classes] scores."""

    def __init__(self, classes: int = 3) -> None:
        self.blocks = Sequential(_block(1, 32, 9), _block(32, 64, 5), _block(64, 128, 3))
        self.fc1 = Linear(128 * 32, 256)
        self.fc2 = Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        x = flatten(self.blocks(x))
        return self.fc2(dropout(relu(self.fc1(x))))


_SOURCE = "after Wan et al. 2019; counts by formula"

MODELS = (
    Entry(
        "radar1d",
        "1-D network for radar range profiles",
        Radar1d,
        image(256, channels=1),
        1_085_155,
        4_006_656,
        _SOURCE,
    ),
)
