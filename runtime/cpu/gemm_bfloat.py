"""gemm.bf16: ``gemm.f32`` with weights of bfloat16: half as many bytes to read, which is what few rows wait for.

A and y hold float32; products and sums are float32. Weights: ``pack_bfloat_gemm``. Variants have ``products``:
bf16_weights.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu import gemm

NAME = "gemm.bf16"

KERNEL = replace(gemm.KERNEL, name=NAME)
