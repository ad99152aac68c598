"""conv.u8.blocked.depthwise: the tiles and work items of ``conv.f32.blocked.depthwise`` for bytes, summed in int32.

Arguments are those of ``conv.u8.blocked.pointwise``. x is uint8; padding counts as 0, so that the zero point must be 0
where there is any. Weights: ``pack_depthwise`` of ``byte_parts``, whose number is the parameter ``parts``, 1 if absent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import conv_depthwise

NAME = "conv.u8.blocked.depthwise"
PARTS = 3
"""int8 numbers that differences of two bytes are made of: -255 is -128 - 127, 255 is 127 + 127 + 1."""


def byte_parts(weights: NDArray[Any]) -> tuple[NDArray[np.int32], int]:
    """Weights in -255..255 as int32 whose low bytes, int8 each, make them up; and how many of these are used."""
    rest = weights.astype(np.int32)
    packed = np.zeros_like(rest)
    count = PARTS if rest.size and (rest.min() < -128 or rest.max() > 127) else 1
    for place in range(count):
        part = np.clip(rest, -128, 127)
        packed |= (part & 255) << (8 * place)
        rest = rest - part
    return packed, count


KERNEL = replace(conv_depthwise.KERNEL, name=NAME)
