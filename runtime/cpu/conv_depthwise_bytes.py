"""conv.u8.blocked.depthwise: the tiles and work items of ``conv.f32.blocked.depthwise`` for bytes, summed in int32.

Arguments are those of ``conv.u8.blocked.pointwise``. x is uint8; padding counts as 0, so that the zero point must be 0
where there is any. Weights: ``pack_depthwise`` to int32.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import conv_depthwise

NAME = "conv.u8.blocked.depthwise"

KERNEL = replace(conv_depthwise.KERNEL, name=NAME)
