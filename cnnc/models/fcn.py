"""FCN: VGG-16 with its linear layers as convolutions, and scores upsampled to the size of the image.

Source: Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015, and the models that its authors
published: the image is padded by 100, so that images of any size pass fc6, and the excess is cut off in the end.
FCN-32s upsamples the last scores at once; FCN-16s and FCN-8s add scores of the pools before, at their own scales. The
last upsampling is fixed to bilinear weights, those between are learned.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from cnnc.dsl import (
    Conv2d,
    ConvTranspose2d,
    MaxPool,
    Module,
    Network,
    Parameter,
    Sequential,
    Tensor,
    conv_transpose,
    dropout,
    relu,
)
from cnnc.ir import Array
from cnnc.models.catalog import Entry, image


def bilinear(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Weights [C, OC/groups, 2s, 2s] with which a transposed convolution of stride s interpolates each channel."""
    size = shape[-1]
    ramp = 1 - np.abs(np.arange(size) - (size - 1) / 2) / (size / 2)
    window = np.outer(ramp, ramp).astype(np.float32)
    joined = np.eye(shape[0], dtype=np.float32) if shape[1] > 1 else np.ones(shape[:2], np.float32)
    return joined[:, :, None, None] * window


def _stage(in_channels: int, out_channels: int, convolutions: int, *, border: int = 1) -> Sequential:
    """3x3 convolutions with ReLU, then a pool that halves the map; ``border`` is the first one's padding."""
    steps: list[Network] = [Conv2d(in_channels, out_channels, 3, padding=border), relu]
    for _ in range(convolutions - 1):
        steps += [Conv2d(out_channels, out_channels, 3, padding=1), relu]
    return Sequential(*steps, MaxPool(2, ceil_mode=True))


def _crop(x: Tensor, offset: int, like: Tensor) -> Tensor:
    """As many pixels of x as ``like`` has, from ``offset`` on in both directions."""
    return x[:, :, offset : offset + like.size(2), offset : offset + like.size(3)]


class FCN(Module):
    """[N, 3, H, W] -> [N, classes, H, W]; ``stride``, 32, 16 or 8, is that of the finest scores."""

    def __init__(self, stride: int, classes: int = 21) -> None:
        self.pool3 = Sequential(_stage(3, 64, 2, border=100), _stage(64, 128, 2), _stage(128, 256, 3))
        self.pool4 = _stage(256, 512, 3)
        self.pool5 = _stage(512, 512, 3)
        self.fc6 = Conv2d(512, 4096, 7)
        self.fc7 = Conv2d(4096, 4096, 1)
        self.score_fr = Conv2d(4096, classes, 1)
        if stride <= 16:
            self.upscore2 = ConvTranspose2d(classes, classes, 4, stride=2, bias=False, init=bilinear)
            self.score_pool4 = Conv2d(512, classes, 1)
        if stride <= 8:
            self.upscore_pool4 = ConvTranspose2d(classes, classes, 4, stride=2, bias=False, init=bilinear)
            self.score_pool3 = Conv2d(256, classes, 1)
        self.stride = stride
        self.upscore = Parameter((classes, 1, 2 * stride, 2 * stride), bilinear, trainable=False)

    def forward(self, image: Tensor) -> Tensor:
        """Class scores of each pixel."""
        pool3 = self.pool3(image)
        pool4 = self.pool4(pool3)
        x = dropout(relu(self.fc6(self.pool5(pool4))))
        x = self.score_fr(dropout(relu(self.fc7(x))))
        if self.stride <= 16:
            x = self.upscore2(x)
            x = x + _crop(self.score_pool4(pool4), 5, like=x)
        if self.stride <= 8:
            x = self.upscore_pool4(x)
            x = x + _crop(self.score_pool3(pool3), 9, like=x)
        x = conv_transpose(x, self.upscore, stride=self.stride, groups=x.channels)
        return _crop(x, {32: 19, 16: 27, 8: 31}[self.stride], like=image)


_SOURCE = "Long et al. 2015 (134 M); counts by formula: VGG-16 without its last layer, scores, learned upsampling"

MODELS = (
    Entry("fcn32s", "FCN-32s on VGG-16", partial(FCN, 32), image(224, 224), 134_346_581, 62_677_463_808, _SOURCE),
    Entry("fcn16s", "FCN-16s on VGG-16", partial(FCN, 16), image(224, 224), 134_364_410, 62_687_215_872, _SOURCE),
    Entry("fcn8s", "FCN-8s on VGG-16", partial(FCN, 8), image(224, 224), 134_376_863, 62_705_398_848, _SOURCE),
)
