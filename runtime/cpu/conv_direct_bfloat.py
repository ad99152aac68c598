"""conv.bf16.blocked.direct: ``conv.f32.blocked.direct`` with products of bfloat16, summed in float32.

x and y hold float32, blocked. x is rounded to bfloat16, to nearest even, while a work item copies it; the weights were
rounded when they were packed (``pack_bfloat_weights``). Variants have ``products``: bf16.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import conv_direct

NAME = "conv.bf16.blocked.direct"

KERNEL = replace(conv_direct.KERNEL, name=NAME)
