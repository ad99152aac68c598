"""conv.u8.blocked.direct: the tiles and work items of ``conv.f32.blocked.direct`` for bytes, summed in int32.

x and y hold a byte an element, in blocks of as many channels. Variants have ``element``, the type of x: u8 or i8, and
``activation`` requantize: y = sum * factor + zero point, rounded half to even and saturated. ``bias`` holds an int32 a
lane of y, with all corrections for zero points; ``slopes`` the factors, float32; ``alpha`` the zero point of y and
``beta`` the least value of its type. Weights: ``pack_byte_weights``.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import conv_direct

NAME = "conv.u8.blocked.direct"

KERNEL = replace(conv_direct.KERNEL, name=NAME)
