"""GoogLeNet: branches of several kernel sizes side by side, joined by their channels.

Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015. As torchvision has it: batch normalization instead of
local response normalization, 3x3 kernels where the paper has 5x5, and no auxiliary heads, which only training uses.
"""

from __future__ import annotations

from cnnc.dsl import Dropout, Flatten, GlobalAvgPool, Linear, MaxPool, Module, Sequential, Tensor, concat
from cnnc.models.catalog import Entry, image
from cnnc.models.conv_norm import InceptionConv


class Inception(Module):
    """Four branches: 1x1, 1x1 then 3x3, 1x1 then 3x3, pool then 1x1.

    Args:
        one: maps of the first branch.
        two, three: maps after the 1x1 and after the 3x3 of the second and third branch.
        pooled: maps of the last branch.
    """

    def __init__(self, channels: int, one: int, two: tuple[int, int], three: tuple[int, int], pooled: int) -> None:
        self.branch1 = InceptionConv(channels, one, 1)
        self.branch2 = Sequential(InceptionConv(channels, two[0], 1), InceptionConv(*two, 3, padding=1))
        self.branch3 = Sequential(InceptionConv(channels, three[0], 1), InceptionConv(*three, 3, padding=1))
        self.branch4 = Sequential(MaxPool(3, stride=1, padding=1, ceil_mode=True), InceptionConv(channels, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, maps of all branches, H, W]."""
        return concat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)])


class GoogLeNet(Sequential):
    """Nine modules of branches: [N, 3, 224, 224] -> [N, K]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(
            conv1=InceptionConv(3, 64, 7, stride=2, padding=3),
            maxpool1=MaxPool(3, stride=2, ceil_mode=True),
            conv2=InceptionConv(64, 64, 1),
            conv3=InceptionConv(64, 192, 3, padding=1),
            maxpool2=MaxPool(3, stride=2, ceil_mode=True),
            inception3a=Inception(192, 64, (96, 128), (16, 32), 32),
            inception3b=Inception(256, 128, (128, 192), (32, 96), 64),
            maxpool3=MaxPool(3, stride=2, ceil_mode=True),
            inception4a=Inception(480, 192, (96, 208), (16, 48), 64),
            inception4b=Inception(512, 160, (112, 224), (24, 64), 64),
            inception4c=Inception(512, 128, (128, 256), (24, 64), 64),
            inception4d=Inception(512, 112, (144, 288), (32, 64), 64),
            inception4e=Inception(528, 256, (160, 320), (32, 128), 128),
            maxpool4=MaxPool(2, stride=2, ceil_mode=True),
            inception5a=Inception(832, 256, (160, 320), (32, 128), 128),
            inception5b=Inception(832, 384, (192, 384), (48, 128), 128),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            dropout=Dropout(0.2),
            fc=Linear(1024, classes),
        )


MODELS = (
    Entry(
        "googlenet",
        "GoogLeNet (Inception v1) without auxiliary heads",
        GoogLeNet,
        image(224, 224),
        6_624_904,
        1_498_000_000,
        "Szegedy et al. 2015; counts: torchvision",
    ),
)
