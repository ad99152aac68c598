"""gemm.u8.sparse_masks: ``gemm.f32.sparse_masks`` for bytes, with words of four of them, summed in int32.

Variants have ``element`` and ``activation`` as of ``gemm.u8``, and its arguments.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import gemm_sparse_masks

NAME = "gemm.u8.sparse_masks"

KERNEL = replace(gemm_sparse_masks.KERNEL, name=NAME)
