"""Sums, means and extrema over axes."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.frontends.dsl.constant import integers
from cnnc.frontends.dsl.tensor import Tensor
from cnnc.frontends.dsl.trace import trace_of
from cnnc.ops.reduction import ArgAttrs, ReduceAttrs


def reduce_mean(x: Tensor, axes: Sequence[int] = (), *, keepdims: bool = True) -> Tensor:
    """Mean over the axes; over all without any."""
    return _reduce("reduce_mean", x, axes, keepdims)


def reduce_sum(x: Tensor, axes: Sequence[int] = (), *, keepdims: bool = True) -> Tensor:
    """Sum over the axes; over all without any."""
    return _reduce("reduce_sum", x, axes, keepdims)


def reduce_max(x: Tensor, axes: Sequence[int] = (), *, keepdims: bool = True) -> Tensor:
    """Largest element over the axes; over all without any."""
    return _reduce("reduce_max", x, axes, keepdims)


def reduce_min(x: Tensor, axes: Sequence[int] = (), *, keepdims: bool = True) -> Tensor:
    """Smallest element over the axes; over all without any."""
    return _reduce("reduce_min", x, axes, keepdims)


def argmax(x: Tensor, axis: int = -1, *, keepdims: bool = False) -> Tensor:
    """Index of the first largest element along the axis, as int64."""
    return trace_of(x).emit("arg_max", [x], ArgAttrs(axis=axis, keepdims=int(keepdims)))


def _reduce(op: str, x: Tensor, axes: Sequence[int], keepdims: bool) -> Tensor:
    listed = [integers(axes, "axes")] if axes else []
    return trace_of(x).emit(op, [x, *listed], ReduceAttrs(keepdims=int(keepdims)))
