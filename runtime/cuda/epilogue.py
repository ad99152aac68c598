"""What convolutions do to four neighbouring channels of a pixel before they store them. Imports numba."""

from __future__ import annotations

from typing import Any

from numba.cuda import types

from cnnc.runtime.cuda.activation import scalar_activation
from cnnc.runtime.cuda.integers import float_of_bits
from cnnc.runtime.cuda.intrinsics import INT, QUAD, inlined
from cnnc.runtime.cuda.memory_access import load_mutable_quad, load_quad, store_quad
from cnnc.runtime.kernel import Params


def output_epilogue(params: Params) -> Any:
    """``finish(sums, y, bias, slopes, residual, (alpha, beta))`` for a variant's activation and residual.

    y = activation(sums + bias + residual); ``sums`` is a quad, the others are the addresses of its first channel, alpha
    and beta float32 bits. ``slopes`` is read for prelu only, ``residual`` by variants that have one.
    """
    activation = scalar_activation(str(params["activation"]))
    has_residual, has_slopes = bool(params["residual"]), params["activation"] == "prelu"

    def finish(sums: Any, y: int, bias: int, slopes: int, residual: int, numbers: Any) -> None:
        alpha, beta = float_of_bits(numbers[0]), float_of_bits(numbers[1])
        b = load_quad(bias)
        v0, v1, v2, v3 = sums[0] + b[0], sums[1] + b[1], sums[2] + b[2], sums[3] + b[3]
        if has_residual:
            r = load_mutable_quad(residual)
            v0, v1, v2, v3 = v0 + r[0], v1 + r[1], v2 + r[2], v3 + r[3]
        s = load_quad(slopes) if has_slopes else (alpha, alpha, alpha, alpha)
        v0, v1 = activation(v0, s[0], beta), activation(v1, s[1], beta)
        v2, v3 = activation(v2, s[2], beta), activation(v3, s[3], beta)
        store_quad(y, (v0, v1, v2, v3))

    return inlined(types.void, [QUAD, INT, INT, INT, INT, types.UniTuple(INT, 2)], finish)
