"""ShuffleNet v2: half of the channels go through a block, the other half around it, and a shuffle mixes them.

Source: Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, ECCV 2018.
"""

from __future__ import annotations

from functools import partial

from cnnc.dsl import (
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Module,
    Sequential,
    Tensor,
    channel_shuffle,
    concat,
    relu,
    split,
)
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import ConvNorm


class ShuffleUnit(Module):
    """1x1, depthwise 3x3 and 1x1 convolutions on half of the channels; with stride 2, two branches on all of them."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        half = out_channels // 2
        self.stride = stride
        if stride == 2:
            self.branch1 = Sequential(
                *(DepthwiseConv2d(channels, 3, stride=2, padding=1, bias=False), BatchNorm(channels)),
                *(Conv2d(channels, half, 1, bias=False), BatchNorm(half), relu),
            )
        self.branch2 = Sequential(
            *(Conv2d(channels if stride == 2 else half, half, 1, bias=False), BatchNorm(half), relu),
            *(DepthwiseConv2d(half, 3, stride=stride, padding=1, bias=False), BatchNorm(half)),
            *(Conv2d(half, half, 1, bias=False), BatchNorm(half), relu),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, out_channels, H / stride, W / stride]."""
        if self.stride == 2:
            kept, made = self.branch1(x), self.branch2(x)
        else:
            kept, rest = split(x, 2)
            made = self.branch2(rest)
        return channel_shuffle(concat([kept, made]), 2)


class ShuffleNetV2(Sequential):
    """[N, 3, 224, 224] -> [N, K].

    Args:
        widths: channels of the three stages and of the last convolution (table 5).
    """

    def __init__(self, widths: tuple[int, int, int, int], *, classes: int = 1000) -> None:
        super().__init__(
            conv1=ConvNorm(3, 24, 3, stride=2),
            maxpool=MaxPool(3, stride=2, padding=1),
            stage2=_stage(4, 24, widths[0]),
            stage3=_stage(8, widths[0], widths[1]),
            stage4=_stage(4, widths[1], widths[2]),
            conv5=ConvNorm(widths[2], widths[3], 1),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            fc=Linear(widths[3], classes),
        )


def _stage(count: int, channels: int, out_channels: int) -> Sequential:
    rest = [ShuffleUnit(out_channels, out_channels, 1) for _ in range(count - 1)]
    return Sequential(ShuffleUnit(channels, out_channels, 2), *rest)


def _entry(name: str, widths: tuple[int, int, int, int], parameters: int, macs: int, counted: str) -> Entry:
    network = partial(ShuffleNetV2, widths)
    title = f"ShuffleNet v2, width {name}"
    source = f"Ma et al. 2018; {counted}"
    return Entry(f"shufflenet_v2_x{name.replace('.', '_')}", title, network, image(224, 224), parameters, macs, source)


_BY_HAND = "parameters: torchvision, MACs: by hand from the layer sizes of table 5"
_TORCHVISION = "counts: torchvision"

MODELS = (
    _entry("0.5", (48, 96, 192, 1024), 1_366_792, 40_476_448, _BY_HAND),
    _entry("1.0", (116, 232, 464, 1024), 2_278_604, 145_000_000, _TORCHVISION),
    _entry("1.5", (176, 352, 704, 1024), 3_503_624, 296_000_000, _TORCHVISION),
    _entry("2.0", (244, 488, 976, 2048), 7_393_996, 583_000_000, _TORCHVISION),
)
