"""Reductions over axes, running sums and products, and the places of extrema.

``axes`` is an int64 tensor; absent or empty means all axes, or none with ``noop_with_empty_axes``. Half floats are
computed in float32; integers wrap around, and where a formula leaves the integers the result is truncated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.arithmetic import div
from cnnc.runtime.host.precision import halves_in_float32, is_float, widen

Array = NDArray[Any]
Reduce = Callable[[Array, tuple[int, ...], bool], Array]


def _reduction(reduce: Reduce, what: str) -> Callable[..., Array]:
    def function(data: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
        chosen = () if axes is None else tuple(int(axis) for axis in axes.reshape(-1))
        if not chosen and not noop_with_empty_axes:
            chosen = tuple(range(data.ndim))
        return np.asarray(reduce(data, chosen, bool(keepdims))).astype(data.dtype)

    function.__doc__ = f"{what} over the axes."
    return halves_in_float32(function)


def _sum(x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    return np.sum(x, axis=axes, keepdims=keep, dtype=x.dtype)


def _mean(x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    total = _sum(x, axes, keep)
    count = np.asarray(np.prod([x.shape[axis] for axis in axes], dtype=np.int64)).astype(x.dtype)
    if is_float(x.dtype):
        return np.divide(total, count)
    return div(np.asarray(total), count)


def _log_sum_exp(x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    wide = _floats(x)
    largest = np.max(wide, axis=axes, keepdims=True, initial=-np.inf)
    # An infinite maximum is the result by itself; shifting by it would make NaN of inf - inf.
    shift = np.where(np.isfinite(largest), largest, np.zeros((), wide.dtype))
    total = np.sum(np.exp(wide - shift), axis=axes, keepdims=True)
    result = np.log(total) + shift
    return result if keep else np.squeeze(result, axis=axes)


def _floats(x: Array) -> Array:
    return x if is_float(x.dtype) else x.astype(np.float64)


def _lowest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "b":
        return False
    return -np.inf if is_float(dtype) else np.iinfo(dtype).min


def _highest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "b":
        return True
    return np.inf if is_float(dtype) else np.iinfo(dtype).max


reduce_sum = _reduction(_sum, "Sum")
reduce_mean = _reduction(_mean, "Mean")
reduce_prod = _reduction(lambda x, axes, keep: np.prod(x, axis=axes, keepdims=keep, dtype=x.dtype), "Product")
reduce_max = _reduction(
    lambda x, axes, keep: np.max(x, axis=axes, keepdims=keep, initial=_lowest(x.dtype)),
    "Largest element (the lowest value of the dtype for an empty set)",
)
reduce_min = _reduction(
    lambda x, axes, keep: np.min(x, axis=axes, keepdims=keep, initial=_highest(x.dtype)),
    "Smallest element (the highest value of the dtype for an empty set)",
)
reduce_l1 = _reduction(lambda x, axes, keep: _sum(np.abs(x), axes, keep), "Sum of absolute values")
reduce_l2 = _reduction(lambda x, axes, keep: np.sqrt(_sum(np.square(x), axes, keep)), "Euclidean norm")
reduce_sum_square = _reduction(lambda x, axes, keep: _sum(np.square(x), axes, keep), "Sum of squares")
reduce_log_sum = _reduction(lambda x, axes, keep: np.log(_floats(_sum(x, axes, keep))), "Logarithm of the sum")
reduce_log_sum_exp = _reduction(_log_sum_exp, "Logarithm of the sum of exponentials")


def arg_max(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """int64 index of the (first or last) largest element along the axis."""
    return _place(np.argmax, widen(x), axis, keepdims, select_last_index)


def arg_min(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """int64 index of the (first or last) smallest element along the axis."""
    return _place(np.argmin, widen(x), axis, keepdims, select_last_index)


def _place(find: Callable[..., Any], x: Array, axis: int, keepdims: int, last: int) -> Array:
    if not last:
        return np.asarray(find(x, axis=axis, keepdims=bool(keepdims)), np.int64)
    from_end = np.asarray(find(np.flip(x, axis), axis=axis, keepdims=bool(keepdims)), np.int64)
    return np.asarray(x.shape[axis] - 1 - from_end)


@halves_in_float32
def cum_sum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Running sum along an axis (a tensor of one element), without the element itself where ``exclusive``."""
    return _running(np.cumsum, 0, x, int(axis.reshape(())), exclusive, reverse)


@halves_in_float32
def cum_prod(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Running product along an axis (a tensor of one element), without the element itself where ``exclusive``."""
    return _running(np.cumprod, 1, x, int(axis.reshape(())), exclusive, reverse)


def _running(scan: Callable[..., Array], start: int, x: Array, axis: int, exclusive: int, reverse: int) -> Array:
    ordered = np.flip(x, axis) if reverse else x
    if exclusive and x.shape[axis]:
        first = np.full_like(np.take(ordered, [0], axis), start)
        kept = np.take(ordered, range(x.shape[axis] - 1), axis)
        ordered = np.concatenate([first, kept], axis)
    result = scan(ordered, axis=axis, dtype=x.dtype)
    return np.flip(result, axis) if reverse else result
