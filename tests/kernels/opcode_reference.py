"""What every op of a chain means, by NumPy in float64, and how near to it CPU and GPU kernels must come."""

from __future__ import annotations

import math

import numpy as np

from cnnc.runtime.cpu.tape_encoding import ARITY

_erf = np.vectorize(math.erf)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _softplus(x):
    return np.logaddexp(0, x)


REFERENCE = {
    "copy": lambda x, a, b: x,
    "neg": lambda x, a, b: -x,
    "abs": lambda x, a, b: abs(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "square": lambda x, a, b: x * x,
    "reciprocal": lambda x, a, b: 1 / x,
    "floor": lambda x, a, b: np.floor(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "round": lambda x, a, b: np.round(x),
    "sign": lambda x, a, b: np.sign(x),
    "relu": lambda x, a, b: np.maximum(x, 0),
    "clip": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "hard_swish": lambda x, a, b: x * np.clip(x / 6 + 0.5, 0, 1),
    "softsign": lambda x, a, b: x / (1 + abs(x)),
    "thresholded_relu": lambda x, a, b: np.where(x <= a, 0, x),
    "shrink": lambda x, a, b: np.where(x < -b, x + a, np.where(x > b, x - a, 0)),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sigmoid": lambda x, a, b: _sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "erf": lambda x, a, b: _erf(x),
    "elu": lambda x, a, b: np.where(x < 0, a * np.expm1(x), x),
    "selu": lambda x, a, b: b * np.where(x < 0, a * np.expm1(x), x),
    "celu": lambda x, a, b: np.where(x < 0, a * np.expm1(x / a), x),
    "swish": lambda x, a, b: x * _sigmoid(a * x),
    "mish": lambda x, a, b: x * np.tanh(_softplus(x)),
    "gelu": lambda x, a, b: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x, a, b: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x, a, b: _softplus(x),
    "not": lambda x, a, b: x == 0,
    "is_nan": lambda x, a, b: np.isnan(x),
    "is_inf": lambda x, a, b: np.isposinf(x),
    "add": lambda x, y, a, b: x + y,
    "sub": lambda x, y, a, b: x - y,
    "mul": lambda x, y, a, b: x * y,
    "div": lambda x, y, a, b: x / y,
    "min": lambda x, y, a, b: np.minimum(x, y),
    "max": lambda x, y, a, b: np.maximum(x, y),
    "pow": lambda x, y, a, b: np.power(x, y),
    "prelu": lambda x, y, a, b: np.where(x < 0, x * y, x),
    "equal": lambda x, y, a, b: x == y,
    "less": lambda x, y, a, b: x < y,
    "greater": lambda x, y, a, b: x > y,
    "less_or_equal": lambda x, y, a, b: x <= y,
    "greater_or_equal": lambda x, y, a, b: x >= y,
    "and": lambda x, y, a, b: (x != 0) & (y != 0),
    "or": lambda x, y, a, b: (x != 0) | (y != 0),
    "xor": lambda x, y, a, b: (x != 0) ^ (y != 0),
    "where": lambda c, x, y, a, b: np.where(c != 0, x, y),
    "fma": lambda x, y, z, a, b: x * y + z,
}
# is_inf: alpha says whether -inf counts, beta whether +inf does
PARAMETERS = {"clip": (-0.5, 1.5), "is_inf": (0.0, 1.0), "selu": (1.6732632, 1.050701), "hard_sigmoid": (0.2, 0.5)}


def opcode_operands(op):
    """(operands, alpha, beta): every pair of special values meets in the binary ops."""
    random = np.random.default_rng(3)
    special = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 0.5, 1e-3, -1e-3, 30.0, -30.0, np.inf, -np.inf, np.nan, 3.0, -3.0]
    operands = []
    for position in range(ARITY[op]):
        grid = np.tile(special, 16) if position == 0 else np.repeat(special, 16)
        operands.append(np.concatenate([grid, random.normal(0, 4, 1100)]).astype(np.float32))
    return (operands, *PARAMETERS.get(op, (0.75, 0.25)))


def check_opcode(op, operands, got):
    """Whether ``got`` is what the op gives for the operands of ``opcode_operands``."""
    alpha, beta = PARAMETERS.get(op, (0.75, 0.25))
    with np.errstate(all="ignore"):
        wide = [array.astype(np.float64) for array in operands]
        expected = np.asarray(REFERENCE[op](*wide, np.float32(alpha), np.float32(beta)), np.float64).astype(np.float32)
    if op in ("fma", "shrink"):
        # A rounded sum of cancelling terms: absolute error in units of the larger term.
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-5)
    elif op in ("hard_swish", "gelu", "gelu_tanh"):
        at = ~np.isinf(operands[0])  # -inf * 0 is NaN in float32 arithmetic, and so it is in the reference
        np.testing.assert_allclose(got[at], expected[at], rtol=2e-6, atol=2e-6)
    elif op in ("mish", "swish"):
        at = operands[0] != -np.inf
        np.testing.assert_allclose(got[at], expected[at], rtol=3e-6, atol=1e-30)
    else:
        np.testing.assert_allclose(got, expected, rtol=1.5e-6, atol=1e-37)
