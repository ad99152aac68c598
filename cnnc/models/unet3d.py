"""3-D U-Net: segmentation of volumes.

Source: Cicek et al., 3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation, MICCAI 2016. Convolutions
keep the size of their maps here, where the paper crops. Its 19,069,955 parameters are the weights and one bias for each
convolution but the up-convolutions; the normalization has statistics only.
"""

from __future__ import annotations

from itertools import pairwise

from cnnc.dsl import BatchNorm, Conv3d, ConvTranspose3d, Module, Network, Sequential, Tensor, concat, max_pool, relu
from cnnc.models.catalog import Entry, image


def _convolutions(*channels: int) -> Sequential:
    """3x3x3 convolutions from each number of channels to the next, normalized before ReLU."""
    steps: list[Network] = []
    for before, after in pairwise(channels):
        steps += [Conv3d(before, after, 3, padding=1), BatchNorm(after, affine=False), relu]
    return Sequential(*steps)


class UNet3d(Module):
    """[N, IC, D, H, W] -> [N, classes, D, H, W] with D, H and W multiples of 8."""

    def __init__(self, in_channels: int = 3, classes: int = 3) -> None:
        self.analysis = [
            _convolutions(in_channels, 32, 64),
            _convolutions(64, 64, 128),
            _convolutions(128, 128, 256),
            _convolutions(256, 256, 512),
        ]
        self.up = [ConvTranspose3d(channels, channels, 2, stride=2, bias=False) for channels in (512, 256, 128)]
        self.synthesis = [
            _convolutions(256 + 512, 256, 256),
            _convolutions(128 + 256, 128, 128),
            _convolutions(64 + 128, 64, 64),
        ]
        self.head = Conv3d(64, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of each voxel."""
        x = self.analysis[0](x)
        skips = []
        for step in self.analysis[1:]:
            skips.append(x)
            x = step(max_pool(x, 2))
        for up, step in zip(self.up, self.synthesis):
            x = step(concat([skips.pop(), up(x)]))
        return self.head(x)


_SOURCE = "Cicek et al. 2016, section 2; MACs by formula"

MODELS = (Entry("unet3d", "3-D U-Net", UNet3d, image(32, 64, 64), 19_069_955, 122_352_041_984, _SOURCE),)
