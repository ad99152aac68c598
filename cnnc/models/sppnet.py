"""SPP-net: a pyramid of pools gives images of any size a vector of one length.

Source: He et al., Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition, ECCV 2014: the ZF-5
trunk (table 1) and the pyramid of 50 bins (section 3.1).
"""

from __future__ import annotations

from cnnc.dsl import Conv2d, Linear, Module, Tensor, dropout, local_response_norm, max_pool, relu, spatial_pyramid_pool
from cnnc.models.catalog import Entry, image


class SPPNet(Module):
    """[N, 3, H, W] -> [N, classes]."""

    def __init__(self, classes: int = 1000, levels: tuple[int, ...] = (6, 3, 2, 1)) -> None:
        self.levels = levels
        self.conv1 = Conv2d(3, 96, 7, stride=2, padding=3)
        self.conv2 = Conv2d(96, 256, 5, stride=2, padding=1)
        self.conv3 = Conv2d(256, 384, 3, padding=1)
        self.conv4 = Conv2d(384, 384, 3, padding=1)
        self.conv5 = Conv2d(384, 256, 3, padding=1)
        self.fc6 = Linear(256 * sum(level**2 for level in levels), 4096)
        self.fc7 = Linear(4096, 4096)
        self.fc8 = Linear(4096, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        x = max_pool(local_response_norm(relu(self.conv1(x)), 5), 3, stride=2)
        x = max_pool(local_response_norm(relu(self.conv2(x)), 5), 3, stride=2)
        x = relu(self.conv5(relu(self.conv4(relu(self.conv3(x))))))
        x = spatial_pyramid_pool(x, self.levels)
        x = dropout(relu(self.fc6(x)))
        x = dropout(relu(self.fc7(x)))
        return self.fc8(x)


_SOURCE = "He et al. 2014; counts by formula"

MODELS = (Entry("sppnet", "SPP-net on ZF-5, 50 bins", SPPNet, image(224, 224), 77_037_672, 1_221_541_888, _SOURCE),)
