"""Elementary functions of one tensor. Half floats are computed in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.precision import halves_in_float32, is_float

Array = NDArray[Any]


def _float_ufunc(ufunc: Callable[[Array], Array], what: str) -> Callable[..., Array]:
    def function(x: Array) -> Array:
        return np.asarray(ufunc(x))

    function.__doc__ = f"{what}, element by element."
    return halves_in_float32(function)


# abs and round are the ops' names, and so shadow builtins that this module does not use.

exp = _float_ufunc(np.exp, "e to the power x")
log = _float_ufunc(np.log, "Natural logarithm; -inf at 0, NaN below")
sqrt = _float_ufunc(np.sqrt, "Square root; NaN below 0")
sin = _float_ufunc(np.sin, "Sine of radians")
cos = _float_ufunc(np.cos, "Cosine of radians")
tan = _float_ufunc(np.tan, "Tangent of radians")
asin = _float_ufunc(np.arcsin, "Arc sine")
acos = _float_ufunc(np.arccos, "Arc cosine")
atan = _float_ufunc(np.arctan, "Arc tangent")
sinh = _float_ufunc(np.sinh, "Hyperbolic sine")
cosh = _float_ufunc(np.cosh, "Hyperbolic cosine")
tanh = _float_ufunc(np.tanh, "Hyperbolic tangent")
asinh = _float_ufunc(np.arcsinh, "Inverse hyperbolic sine")
acosh = _float_ufunc(np.arccosh, "Inverse hyperbolic cosine; NaN below 1")
atanh = _float_ufunc(np.arctanh, "Inverse hyperbolic tangent")
ceil = _float_ufunc(np.ceil, "Smallest whole number not below x")
floor = _float_ufunc(np.floor, "Largest whole number not above x")
round = _float_ufunc(np.rint, "Nearest whole number, halves to even")


def abs(x: Array) -> Array:
    """|x|; the smallest integer stays itself, as two's complement has no opposite of it."""
    return np.abs(x)


def neg(x: Array) -> Array:
    """-x."""
    return np.negative(x)


def sign(x: Array) -> Array:
    """-1, 0 or 1; NaN stays NaN."""
    return np.sign(x)


@halves_in_float32
def reciprocal(x: Array) -> Array:
    """1 / x."""
    return np.divide(np.ones((), x.dtype), x)


@halves_in_float32
def erf(x: Array) -> Array:
    """The error function, to about 1e-16 of its value in float64.

    Three rational approximations by |x|: W. J. Cody, "Rational Chebyshev approximations for the error function",
    Mathematics of Computation 23 (1969); coefficients of CALERF (netlib specfun). float32 is computed in float64.
    """
    if not is_float(x.dtype):
        return erf(x.astype(np.float64)).astype(x.dtype)
    wide = x.astype(np.float64)
    size = np.abs(wide)
    result = np.empty_like(wide)

    small = size <= _SMALL
    square = np.square(wide[small])
    result[small] = wide[small] * (_polynomial(_A, square) / _polynomial(_B, square))

    middle = ~small & (size <= _LARGE)
    y = size[middle]
    result[middle] = 1 - _exp_minus_square(y) * (_polynomial(_C, y) / _polynomial(_D, y))

    # From 6 on 1 - erf(x) is below half an ulp of 1; the comparison is False for NaN, which falls through below.
    large = size > _LARGE
    y = np.minimum(size[large], 6.0)
    inverse = 1 / np.square(y)
    tail = inverse * (_polynomial(_P, inverse) / _polynomial(_Q, inverse))
    result[large] = 1 - _exp_minus_square(y) * ((_INVERSE_SQRT_PI - tail) / y)

    result = np.where(small, result, np.copysign(result, wide))
    return np.where(np.isnan(wide), wide, result).astype(x.dtype)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's rule, highest power first."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def _exp_minus_square(y: Array) -> Array:
    """exp(-y*y) without the rounding error of y*y: y is split into 16ths and a rest."""
    coarse = np.trunc(y * 16) / 16
    return np.exp(-coarse * coarse) * np.exp(-(y - coarse) * (y + coarse))


_SMALL = 0.46875
_LARGE = 4.0
_INVERSE_SQRT_PI = 0.56418958354775628695
_A = (
    1.85777706184603153e-1,
    3.16112374387056560e00,
    1.13864154151050156e02,
    3.77485237685302021e02,
    3.20937758913846947e03,
)
_B = (
    1.0,
    2.36012909523441209e01,
    2.44024637934444173e02,
    1.28261652607737228e03,
    2.84423683343917062e03,
)
_C = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e00,
    6.61191906371416295e01,
    2.98635138197400131e02,
    8.81952221241769090e02,
    1.71204761263407058e03,
    2.05107837782607147e03,
    1.23033935479799725e03,
)
_D = (
    1.0,
    1.57449261107098347e01,
    1.17693950891312499e02,
    5.37181101862009858e02,
    1.62138957456669019e03,
    3.29079923573345963e03,
    4.36261909014324716e03,
    3.43936767414372164e03,
    1.23033935480374942e03,
)
_P = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_Q = (
    1.0,
    2.56852019228982242e00,
    1.87295284992346725e00,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)
