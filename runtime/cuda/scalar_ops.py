"""The element-wise ops on one float32, for Numba CUDA code. Imported only while a kernel is compiled.

Names, operands and parameters are those of ``cnnc.runtime.cpu.tape_encoding``. Division and square root round as IEEE
754 says; a product is never contracted with a sum of the next step. Truth is 1.0 or 0.0; what is not 0 is true.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.cuda import libdevice

from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cuda.activation import activation_function

_ZERO, _ONE = np.float32(0), np.float32(1)
_INFINITY = np.float32(np.inf)


def _copy(x: Any) -> Any:
    return x


def _neg(x: Any) -> Any:
    return -x


def _abs(x: Any) -> Any:
    return libdevice.fabsf(x)


def _sqrt(x: Any) -> Any:
    return libdevice.fsqrt_rn(x)


def _square(x: Any) -> Any:
    return libdevice.fmul_rn(x, x)


def _reciprocal(x: Any) -> Any:
    return _ONE / x


def _floor(x: Any) -> Any:
    return libdevice.floorf(x)


def _ceil(x: Any) -> Any:
    return libdevice.ceilf(x)


def _round(x: Any) -> Any:
    return libdevice.rintf(x)


def _sign(x: Any) -> Any:
    # Zero and NaN are their own signs.
    return _ONE if x > _ZERO else -_ONE if x < _ZERO else x


def _exp(x: Any) -> Any:
    return math.exp(x)


def _log(x: Any) -> Any:
    return math.log(x)


def _erf(x: Any) -> Any:
    return math.erf(x)


def _not(x: Any) -> Any:
    return _ONE if x == _ZERO else _ZERO


def _is_nan(x: Any) -> Any:
    return _ONE if x != x else _ZERO


def _add(x: Any, y: Any) -> Any:
    return x + y


def _sub(x: Any, y: Any) -> Any:
    return x - y


def _mul(x: Any, y: Any) -> Any:
    return libdevice.fmul_rn(x, y)


def _div(x: Any, y: Any) -> Any:
    return x / y


def _min(x: Any, y: Any) -> Any:
    # A NaN compares false: that of y gets in by the second comparison.
    return y if y < x or y != y else x


def _max(x: Any, y: Any) -> Any:
    return y if y > x or y != y else x


def _pow(x: Any, y: Any) -> Any:
    return math.pow(x, y)


def _prelu(x: Any, slope: Any) -> Any:
    return x * slope if x < _ZERO else x


def _equal(x: Any, y: Any) -> Any:
    return _ONE if x == y else _ZERO


def _less(x: Any, y: Any) -> Any:
    return _ONE if x < y else _ZERO


def _greater(x: Any, y: Any) -> Any:
    return _ONE if x > y else _ZERO


def _less_or_equal(x: Any, y: Any) -> Any:
    return _ONE if x <= y else _ZERO


def _greater_or_equal(x: Any, y: Any) -> Any:
    return _ONE if x >= y else _ZERO


def _and(x: Any, y: Any) -> Any:
    return _ONE if (x != _ZERO) & (y != _ZERO) else _ZERO


def _or(x: Any, y: Any) -> Any:
    return _ONE if (x != _ZERO) | (y != _ZERO) else _ZERO


def _xor(x: Any, y: Any) -> Any:
    return _ONE if (x != _ZERO) != (y != _ZERO) else _ZERO


def _where(condition: Any, x: Any, y: Any) -> Any:
    return x if condition != _ZERO else y


def _fma(x: Any, y: Any, z: Any) -> Any:
    return libdevice.fmaf(x, y, z)


def _swish(x: Any, alpha: Any, beta: Any) -> Any:
    return x / (_ONE + math.exp(-(alpha * x)))


def _shrink(x: Any, bias: Any, lambd: Any) -> Any:
    return x + bias if x < -lambd else x - bias if x > lambd else _ZERO


def _is_inf(x: Any, negative: Any, positive: Any) -> Any:
    below, above = (x == -_INFINITY) & (negative != _ZERO), (x == _INFINITY) & (positive != _ZERO)
    return _ONE if below | above else _ZERO


_PLAIN: dict[str, Callable[..., Any]] = {
    "copy": _copy,
    "neg": _neg,
    "abs": _abs,
    "sqrt": _sqrt,
    "square": _square,
    "reciprocal": _reciprocal,
    "floor": _floor,
    "ceil": _ceil,
    "round": _round,
    "sign": _sign,
    "exp": _exp,
    "log": _log,
    "erf": _erf,
    "not": _not,
    "is_nan": _is_nan,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "min": _min,
    "max": _max,
    "pow": _pow,
    "prelu": _prelu,
    "equal": _equal,
    "less": _less,
    "greater": _greater,
    "less_or_equal": _less_or_equal,
    "greater_or_equal": _greater_or_equal,
    "and": _and,
    "or": _or,
    "xor": _xor,
    "where": _where,
    "fma": _fma,
}
_WITH_PARAMETERS: dict[str, Callable[[Any, Any, Any], Any]] = {"swish": _swish, "shrink": _shrink, "is_inf": _is_inf}


def scalar_op(name: str) -> tuple[Callable[..., Any], bool]:
    """(function for Numba CUDA code, whether it takes alpha and beta behind its operands)."""
    if name in _PLAIN:
        return _PLAIN[name], False
    if name in _WITH_PARAMETERS:
        return _WITH_PARAMETERS[name], True
    assert name in ACTIVATIONS
    return activation_function(name), True
