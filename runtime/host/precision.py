"""In which dtype a reference computes: f16 and bf16 in f32 (rounded once at the end), f32 and f64 in themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def is_narrow_float(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` is f16 or bf16."""
    return dtype.name in ("float16", "bfloat16")


def widen(x: Array) -> Array:
    """``x`` in the dtype that its sums are computed in."""
    return x.astype(np.float32) if is_narrow_float(x.dtype) else x


def widen_all(*arrays: Array | None) -> tuple[Array | None, ...]:
    """``widen`` for each array that is not None."""
    return tuple(None if x is None else widen(x) for x in arrays)
