"""What pools do with the elements of a window, for Numba CUDA code. Imported only while a kernel is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.runtime.cuda.intrinsics import FLOAT, inlined


def _greater(a: Any, b: Any) -> Any:
    # A NaN compares false: it gets in by the second comparison, and stays.
    return b if b > a or b != b else a


def _sum(a: Any, b: Any) -> Any:
    return a + b


def pool_arithmetic(kind: str) -> tuple[Any, Any]:
    """(combined(so far, element), what to begin with) of ``max`` or ``average``."""
    is_max = kind == "max"
    return inlined(FLOAT, [FLOAT] * 2, _greater if is_max else _sum), np.float32(-np.inf if is_max else 0.0)
