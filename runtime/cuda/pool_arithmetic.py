"""What pools do with the elements of a window, for Numba CUDA code. Imported only while a kernel is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.runtime.cuda.intrinsics import F32, FLOAT, assembly, device_function, inlined
from cnnc.runtime.cuda.target import capability
from cnnc.runtime.kernel import Target

_HAS_NAN_MAXIMUM = (8, 0)


def _greater(a: Any, b: Any) -> Any:
    # A NaN compares false: it gets in by the second comparison, and stays.
    return b if b > a or b != b else a


def _greater_in_one(builder: Any, a: Any, b: Any) -> Any:
    return assembly(builder, F32, "max.NaN.f32 $0, $1, $2;", "=f,f,f", [a, b])


def _sum(a: Any, b: Any) -> Any:
    return a + b


def pool_arithmetic(kind: str, target: Target) -> tuple[Any, Any]:
    """(combined(so far, element), what to begin with) of ``max``, where NaN wins, or ``average``."""
    if kind != "max":
        return inlined(FLOAT, [FLOAT] * 2, _sum), np.float32(0)
    if capability(target) >= _HAS_NAN_MAXIMUM:
        return device_function(FLOAT, [FLOAT] * 2, _greater_in_one), np.float32(-np.inf)
    return inlined(FLOAT, [FLOAT] * 2, _greater), np.float32(-np.inf)
