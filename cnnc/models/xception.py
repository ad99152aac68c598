"""Xception: depthwise separable convolutions in residual blocks.

Source: Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017, figure 5. The first two
convolutions are not padded, as in Keras.
"""

from __future__ import annotations

from cnnc.dsl import (
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Module,
    Network,
    SeparableConv2d,
    Sequential,
    Tensor,
    relu,
)
from cnnc.models.catalog import Entry, image


class Block(Module):
    """Separable convolutions, each after a ReLU, and a shortcut.

    Args:
        widths: channels after each convolution.
        stride: 2 ends the block with a pool.
        has_first_act: whether the first convolution has its ReLU.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], *, stride: int, has_first_act: bool = True) -> None:
        self.skip: Module | None = None
        if stride == 2:
            self.skip = Sequential(Conv2d(channels, widths[-1], 1, stride=2, bias=False), BatchNorm(widths[-1]))
        steps: list[Network] = []
        before = channels
        for width in widths:
            steps += [relu, _separable(before, width), BatchNorm(width)]
            before = width
        if stride == 2:
            steps.append(MaxPool(3, stride=2, padding=1))
        self.rep = Sequential(*(steps if has_first_act else steps[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, widths[-1], H / stride, W / stride]."""
        return self.rep(x) + (x if self.skip is None else self.skip(x))


def _separable(channels: int, out_channels: int) -> SeparableConv2d:
    return SeparableConv2d(channels, out_channels, 3, padding=1, bias=False)


class Xception(Sequential):
    """Entry, middle and exit flow: [N, 3, 299, 299] -> [N, K]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(
            conv1=Conv2d(3, 32, 3, stride=2, bias=False),
            bn1=BatchNorm(32),
            relu1=relu,
            conv2=Conv2d(32, 64, 3, bias=False),
            bn2=BatchNorm(64),
            relu2=relu,
            block1=Block(64, (128, 128), stride=2, has_first_act=False),
            block2=Block(128, (256, 256), stride=2),
            block3=Block(256, (728, 728), stride=2),
            **{f"block{number}": Block(728, (728, 728, 728), stride=1) for number in range(4, 12)},
            block12=Block(728, (728, 1024), stride=2),
            conv3=_separable(1024, 1536),
            bn3=BatchNorm(1536),
            relu3=relu,
            conv4=_separable(1536, 2048),
            bn4=BatchNorm(2048),
            relu4=relu,
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            fc=Linear(2048, classes),
        )


MODELS = (
    Entry(
        "xception",
        "Xception",
        Xception,
        image(299, 299),
        22_855_952,
        8_400_000_000,
        "Chollet 2017; parameters: Keras, the trainable ones; MACs: timm",
    ),
)
