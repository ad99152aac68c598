"""What kernels that multiply bfloat16 are held to: exact sums of products of rounded operands."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.jit.target import has_bfloat_products, host_target
from cnnc.types import DType

needs_bfloat_products = pytest.mark.skipif(
    not has_bfloat_products(host_target()), reason="this CPU multiplies no bfloat16"
)


def rounded(array: np.ndarray) -> np.ndarray:
    """float32 rounded to bfloat16, to nearest even; denormals are zero."""
    array = np.where(np.abs(array) < np.finfo(np.float32).tiny, array * 0, array)
    return np.asarray(array, np.float32).astype(DType.BF16.numpy).astype(np.float32)
