"""SE-ResNet: each block weighs its channels by what all of them hold.

Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018. As in the models that the authors published, strides lie
on the first 1x1 convolution of a block; names are those of their PyTorch form.
"""

from __future__ import annotations

from cnnc.dsl import BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool, Module, Sequential, Tensor, relu
from cnnc.models.catalog import Entry, image
from cnnc.models.resnet import COUNTS, stage
from cnnc.models.squeeze_excite import SqueezeExcite


class SEBottleneck(Module):
    """1x1, 3x3 and 1x1 convolutions, gates for the channels, and a shortcut.

    Args:
        channels: of the input.
        width: maps inside; the block gives four times as many.
        stride: of the first convolution.
        reduction: how many times fewer channels lie between the two products of the gates.
    """

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int = 1, *, reduction: int = 16) -> None:
        out_channels = self.expansion * width
        self.conv1 = Conv2d(channels, width, 1, stride=stride, bias=False)
        self.bn1 = BatchNorm(width)
        self.conv2 = Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(width)
        self.conv3 = Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = BatchNorm(out_channels)
        self.se_module = SqueezeExcite(out_channels, out_channels // reduction)
        self.downsample = None
        if stride != 1 or channels != out_channels:
            shortcut = Conv2d(channels, out_channels, 1, stride=stride, bias=False)
            self.downsample = Sequential(shortcut, BatchNorm(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 4 width, H / stride, W / stride]."""
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.se_module(self.bn3(self.conv3(y)))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class SEResNet(Sequential):
    """Four stages of blocks: [N, 3, 224, 224] -> [N, K]."""

    def __init__(self, depth: int = 50, classes: int = 1000) -> None:
        counts = COUNTS[depth]
        super().__init__(
            layer0=Sequential(conv1=Conv2d(3, 64, 7, stride=2, padding=3, bias=False), bn1=BatchNorm(64), relu1=relu),
            pool0=MaxPool(3, stride=2, ceil_mode=True),
            layer1=stage(SEBottleneck, counts[0], 64, 64, 1, SEBottleneck.expansion),
            layer2=stage(SEBottleneck, counts[1], 256, 128, 2, SEBottleneck.expansion),
            layer3=stage(SEBottleneck, counts[2], 512, 256, 2, SEBottleneck.expansion),
            layer4=stage(SEBottleneck, counts[3], 1024, 512, 2, SEBottleneck.expansion),
            avg_pool=GlobalAvgPool(),
            flatten=Flatten(),
            last_linear=Linear(2048, classes),
        )


_SOURCE = "Hu et al. 2018, table 2 (3.87 G); parameters: the authors' model in PyTorch"

MODELS = (Entry("se_resnet50", "SE-ResNet-50", SEResNet, image(224, 224), 28_088_024, 3_870_000_000, _SOURCE),)
