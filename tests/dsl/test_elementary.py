"""Operators, element-wise functions, reductions and matrix products, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import dsl
from cnnc.ir import Array
from tests.dsl.evaluation import close, evaluate, graph_of, random

A, B = random(2, 3, 4, seed=1), random(3, 4, seed=2)
POSITIVE = np.abs(A) + 0.1

OPERATORS: dict[str, Any] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a @ b.T": lambda a, b: a @ b.transpose(1, 0),
    "a > b": lambda a, b: a > b,
    "a < b": lambda a, b: a < b,
    "-a": lambda a, b: -a,
    "a ** 2": lambda a, b: a**2,
    "1.5 - a": lambda a, b: 1.5 - a,
    "2 / b": lambda a, b: 2 / b,
    "3 * a": lambda a, b: 3 * a,
    "1 + a": lambda a, b: 1 + a,
    "array - a": lambda a, b: B - a,
    "a + np.float32": lambda a, b: a + np.float32(2),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_those_of_numpy(name: str) -> None:
    close(evaluate(OPERATORS[name], A, B), OPERATORS[name](A, B))


FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "add": (dsl.add, np.add),
    "mul": (dsl.mul, np.multiply),
    "maximum": (dsl.maximum, np.maximum),
    "minimum": (dsl.minimum, np.minimum),
    "where": (lambda a, b: dsl.where(a > b, a, 0.5), lambda a, b: np.where(a > b, a, np.float32(0.5))),
    "exp": (lambda a, b: dsl.exp(a), lambda a, b: np.exp(a)),
    "log": (lambda a, b: dsl.log(a), lambda a, b: np.log(a)),
    "sqrt": (lambda a, b: dsl.sqrt(a), lambda a, b: np.sqrt(a)),
    "absolute": (lambda a, b: dsl.absolute(-a), lambda a, b: np.abs(a)),
    "maximum with a number": (lambda a, b: dsl.maximum(0.2, a), lambda a, b: np.maximum(np.float32(0.2), a)),
    "matmul": (lambda a, b: dsl.matmul(a, b.transpose(1, 0)), lambda a, b: a @ b.T),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_those_of_numpy(name: str) -> None:
    function, formula = FUNCTIONS[name]
    close(evaluate(function, POSITIVE, B), formula(POSITIVE, B))


def test_cast() -> None:
    x = np.array([[1.7, -2.2]], np.float32)
    got = evaluate(lambda x: dsl.cast(x, "int32"), x)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, [[1, -2]])


def test_dropout_is_the_tensor_itself() -> None:
    np.testing.assert_array_equal(evaluate(lambda x: dsl.dropout(x, 0.3), A), A)
    assert [node.op for node in graph_of(dsl.Dropout(0.3), A).nodes] == ["dropout"]


REDUCTIONS: dict[str, tuple[Any, Any]] = {
    "mean": (dsl.reduce_mean, np.mean),
    "sum": (dsl.reduce_sum, np.sum),
    "max": (dsl.reduce_max, np.max),
    "min": (dsl.reduce_min, np.min),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axes", [(), (1,), (0, 2), (-1,)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_reductions(name: str, axes: tuple[int, ...], keepdims: bool) -> None:
    function, formula = REDUCTIONS[name]
    wanted = formula(A, axis=axes or None, keepdims=keepdims)
    close(evaluate(lambda x: function(x, axes, keepdims=keepdims), A), wanted)


def test_argmax() -> None:
    np.testing.assert_array_equal(evaluate(lambda x: dsl.argmax(x, 1), A), A.argmax(1))
    np.testing.assert_array_equal(evaluate(lambda x: dsl.argmax(x, keepdims=True), A), A.argmax(-1)[..., None])


@pytest.mark.parametrize("rows", [(3,), (2, 3), (2, 3, 2)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_is_over_the_last_axis(rows: tuple[int, ...], with_bias: bool) -> None:
    x, weight, bias = random(*rows, 5), random(4, 5, seed=1), random(4, seed=2)

    def formula() -> Array:
        product = x @ weight.T
        return product + bias if with_bias else product

    close(evaluate(lambda x: dsl.linear(x, weight, bias if with_bias else None), x), formula())


def test_linear_layer() -> None:
    model = dsl.model(dsl.Linear(5, 4), ("N", 7, 5))
    assert {name: parameter.shape for name, parameter in model.parameters.items()} == {"weight": (4, 5), "bias": (4,)}
    assert str(model.graph().outputs[0].type) == "f32[N, 7, 4]"
    assert model.macs() == 7 * 20
    assert list(dsl.model(dsl.Linear(5, 4, bias=False), (1, 5)).parameters) == ["weight"]
