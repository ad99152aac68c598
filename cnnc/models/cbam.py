"""CBAM: blocks that weigh first their channels, then their pixels.

Source: Woo et al., CBAM: Convolutional Block Attention Module, ECCV 2018, and its authors' code, which normalizes the
map of pixels.
"""

from __future__ import annotations

from functools import partial

from cnnc.dsl import (
    BatchNorm,
    Conv2d,
    Module,
    Sequential,
    Tensor,
    concat,
    global_avg_pool,
    global_max_pool,
    reduce_max,
    reduce_mean,
    relu,
    sigmoid,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.resnet import resnet


class ChannelGate(Module):
    """Gates of channels from their means and maxima, both through the same two layers: [N, C, H, W] -> [N, C, 1, 1]."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        squeezed = channels // reduction
        self.mlp = Sequential(Conv2d(channels, squeezed, 1), relu, Conv2d(squeezed, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Gates in 0..1."""
        return sigmoid(self.mlp(global_avg_pool(x)) + self.mlp(global_max_pool(x)))


class SpatialGate(Module):
    """Gates of pixels from the largest and the mean channel around them: [N, C, H, W] -> [N, 1, H, W]."""

    def __init__(self, kernel: int = 7) -> None:
        self.conv = Conv2d(2, 1, kernel, padding="same", bias=False)
        self.bn = BatchNorm(1)

    def forward(self, x: Tensor) -> Tensor:
        """Gates in 0..1."""
        pooled = concat([reduce_max(x, axes=(1,)), reduce_mean(x, axes=(1,))])
        return sigmoid(self.bn(self.conv(pooled)))


class CBAM(Module):
    """x [N, C, H, W] times the gates of its channels, then times the gates of its pixels."""

    def __init__(self, channels: int) -> None:
        self.channel_gate = ChannelGate(channels)
        self.spatial_gate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        x = x * self.channel_gate(x)
        return x * self.spatial_gate(x)


def _entry(depth: int, parameters: int, macs: int, published: str) -> Entry:
    source = f"Woo et al. 2018, table 4 ({published}); exact counts by formula"
    network = partial(resnet, depth, attention=CBAM)
    return Entry(f"cbam_resnet{depth}", f"ResNet-{depth} with CBAM", network, image(224, 224), parameters, macs, source)


MODELS = (
    _entry(18, 11_779_392, 1_815_064_000, "11.78 M, 1.815 G"),
    _entry(50, 28_089_624, 4_095_573_000, "28.09 M"),
)
