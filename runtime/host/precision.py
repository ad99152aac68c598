"""In which dtype a reference computes: f16 and bf16 in f32 (rounded once at the end), f32 and f64 in themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def is_narrow_float(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` is f16 or bf16."""
    return dtype.name in ("float16", "bfloat16")


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` is a float, bf16 included (NumPy calls that one a void)."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def widen(x: Array) -> Array:
    """``x`` in the dtype that its sums are computed in."""
    return x.astype(np.float32) if is_narrow_float(x.dtype) else x


def widen_all(*arrays: Array | None) -> tuple[Array | None, ...]:
    """``widen`` for each array that is not None."""
    return tuple(None if x is None else widen(x) for x in arrays)


def halves_in_float32(function: Callable[..., Array]) -> Callable[..., Array]:
    """A reference that sees half floats as f32; its f32 result is rounded to the dtype of the first half input.

    A result of another dtype (indices, booleans) is left alone.
    """

    @functools.wraps(function)
    def widened(*arrays: Array | None, **attributes: Any) -> Array:
        halves = [array.dtype for array in arrays if array is not None and is_narrow_float(array.dtype)]
        if not halves:
            return function(*arrays, **attributes)
        result = np.asarray(function(*widen_all(*arrays), **attributes))
        return result.astype(halves[0]) if result.dtype == np.float32 else result

    return widened
