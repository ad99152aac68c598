"""gemm.u8: the tiles and work items of ``gemm.f32`` for bytes, summed in int32.

A and Y hold a byte an element. Variants have ``element``, the type of A: u8 or i8, and ``activation`` requantize, with
arguments as for ``conv.u8.blocked.pointwise``. B: ``pack_byte_gemm``.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import gemm

NAME = "gemm.u8"

KERNEL = replace(gemm.KERNEL, name=NAME)
