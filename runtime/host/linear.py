"""Matrix products and determinants. Half floats are computed in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.activation import apply_activation
from cnnc.runtime.host.precision import halves_in_float32

Array = NDArray[Any]


@halves_in_float32
def matmul(a: Array, b: Array) -> Array:
    """[..., M, K] x [..., K, N] -> [..., M, N], with NumPy's rules for vectors and batches."""
    return np.asarray(np.matmul(a, b))


def matmul_integer(a: Array, b: Array, a_zero_point: Array | None = None, b_zero_point: Array | None = None) -> Array:
    """(a - a_zero_point) x (b - b_zero_point) in int32, from 8-bit integers.

    A zero point is one number, or one per row of ``a`` ([M]) or column of ``b`` ([N]), or [..., M, 1] and [..., 1, N].
    """
    left, right = a.astype(np.float64), b.astype(np.float64)
    if a_zero_point is not None:
        per_row = a_zero_point.reshape(-1, 1) if a_zero_point.ndim == 1 and a_zero_point.size > 1 else a_zero_point
        left = left - (per_row.reshape(()) if per_row.size == 1 else per_row)
    if b_zero_point is not None:
        right = right - (b_zero_point.reshape(()) if b_zero_point.size == 1 else b_zero_point)
    # float64 is exact here: a product is below 2^17, so sums stay exact beyond any K that fits in memory.
    return np.asarray(np.matmul(left, right)).astype(np.int64).astype(np.int32)


@halves_in_float32
def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    activation: tuple[str, float, float] = ("none", 0.0, 0.0),
) -> Array:
    """act(alpha * a x b + beta * c) for [M, K] x [K, N], each optionally given transposed; c broadcasts to [M, N]."""
    product = np.matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1.0:
        product = (product * alpha).astype(a.dtype)
    if c is not None:
        product = (product + (c if beta == 1.0 else c * beta)).astype(a.dtype)
    return apply_activation(product, activation)


@halves_in_float32
def einsum(*arrays: Array, equation: str) -> Array:
    """Sum of products by Einstein's notation."""
    return np.asarray(np.einsum(equation.replace(" ", ""), *arrays, optimize=len(arrays) > 1)).astype(arrays[0].dtype)


@halves_in_float32
def det(x: Array) -> Array:
    """Determinants of [..., M, M]."""
    return np.asarray(np.linalg.det(x)).astype(x.dtype)
