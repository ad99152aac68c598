"""conv.bf16.blocked.pointwise: ``conv.f32.blocked.pointwise`` with products of bfloat16, summed in float32.

x and y hold float32. x is rounded to bfloat16, to nearest even, while a work item copies it, behind its prologue or
gate; the weights were rounded when they were packed (``pack_bfloat_weights``). Variants have ``products``: bf16.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import conv_pointwise

NAME = "conv.bf16.blocked.pointwise"

KERNEL = replace(conv_pointwise.KERNEL, name=NAME)
