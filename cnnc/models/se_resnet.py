"""SE-ResNet: each block weighs its channels by what all of them hold.

Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, with 1/16 of the channels between the two products.
Strides lie on the 3x3 convolutions, as in ``resnet``.
"""

from __future__ import annotations

from functools import partial

from cnnc.models.catalog import Entry, image
from cnnc.models.resnet import resnet
from cnnc.models.squeeze_excite import SqueezeExcite


def _attention(channels: int) -> SqueezeExcite:
    return SqueezeExcite(channels, channels // 16)


_SOURCE = "Hu et al. 2018, table 2 (28.1 M); MACs by formula: ResNet-50 and one for each weight of the gates"

MODELS = (
    Entry(
        "se_resnet50",
        "SE-ResNet-50",
        partial(resnet, 50, attention=_attention),
        image(224, 224),
        28_088_024,
        4_091_700_000,
        _SOURCE,
    ),
)
