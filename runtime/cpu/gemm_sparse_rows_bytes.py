"""gemm.u8.sparse_rows: ``gemm.f32.sparse_rows`` for bytes, with words of four of them, summed in int32.

Variants have ``element`` and ``activation`` as of ``gemm.u8``, and its arguments.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import gemm_sparse_rows

NAME = "gemm.u8.sparse_rows"

KERNEL = replace(gemm_sparse_rows.KERNEL, name=NAME)
