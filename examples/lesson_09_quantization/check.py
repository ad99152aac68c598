"""What is asked of exercise 9."""

from __future__ import annotations

import ast
import inspect
import textwrap
from fractions import Fraction
from functools import cache
from types import ModuleType

import numpy as np
from lesson_09_quantization.lesson import (
    EXAMPLES,
    affine,
    images,
    integer_sums,
    restore,
    second_convolution,
    sqnr,
    store,
)

from cnnc import frontends, interp
from cnnc.quantization.ranges import Extremes, Histogram, chosen_range
from cnnc.quantization.settings import Settings
from cnnc.runtime.host import function


@cache
def activations() -> dict[str, np.ndarray]:
    """Some tensors of the small MobileNetV2 on ten samples, by name."""
    graph = frontends.import_onnx(EXAMPLES / "models" / "mbv2mini_fashion-bn.onnx")
    names = [node.output.name for node in graph.nodes if node.op == "batch_normalization"][2:22:5]
    found = interp.run(graph, {"input": images().samples[:10]}, capture=names)
    return {name: found[name] for name in names}


def check_affine(student: ModuleType) -> None:
    """Part 1: scale and zero point"""
    for low, high in ((-1.0, 3.0), (0.0, 6.0), (-13.638, 10.604), (-2.0, 0.0), (0.1, 0.3), (2.0, 5.0), (-4.0, -1.0)):
        scale, zero_point = student.affine(low, high)
        span = max(high, 0.0) - min(low, 0.0)
        case = f"affine({low}, {high}) is ({scale}, {zero_point})"
        assert np.asarray(scale).dtype == np.float32, f"{case}: the scale should be a float32"
        assert isinstance(zero_point, int) and 0 <= zero_point <= 255, (
            f"{case}: the zero point should be an int, 0..255"
        )
        assert scale == np.float32(span / 255), (
            f"{case}: with 0 in the range, 255 steps span {span}: a scale of {np.float32(span / 255)}"
        )
        assert zero_point == affine(low, high)[1], (
            f"{case}: {min(low, 0.0)} / {scale} below 0 is a zero point of {affine(low, high)[1]}"
        )
    assert tuple(student.affine(0.0, 0.0)) == (1, 0), "a range of no width has scale 1 and zero point 0"


def check_requantize(student: ModuleType) -> None:
    """Part 2: rescaling in integers"""
    random = np.random.default_rng(9)
    for multiplier in (*(2.0 ** random.uniform(-19, 0, 50)).tolist(), 0.5, 2.0**-20, 1 - 2.0**-40, 0.25 - 2.0**-40):
        mantissa, shift = student.fixed_point(multiplier)
        case = f"fixed_point({multiplier!r}) is ({mantissa}, {shift})"
        assert isinstance(mantissa, int) and isinstance(shift, int), f"{case}: both should be ints"
        assert 2**30 <= mantissa < 2**31, f"{case}: the mantissa should be at least 2**30 and below 2**31"
        off = abs(Fraction(mantissa, 2**shift) / Fraction(multiplier) - 1)
        assert off <= Fraction(1, 2**31), f"{case}, which is {float(mantissa / 2**shift)!r}: off by more than rounding"
    sums = random.integers(-(2**31), 2**31, (3, 4, 5)).astype(np.int32)
    sums[0, 0] = (0, 1, -1, 2**31 - 1, -(2**31))
    for mantissa, shift, zero_point in (
        (2**30, 31, 0),
        (2**30 + 12345, 45, 128),
        (2**31 - 1, 52, 3),
        (3 * 2**29, 54, 255),
    ):
        given = sums.copy()
        got = student.requantize(given, mantissa, shift, zero_point)
        assert np.array_equal(given, sums), "the sums that were given have changed"
        assert got.dtype == np.uint8 and got.shape == sums.shape, (
            f"the result is {got.dtype}{list(got.shape)}, not uint8"
        )
        for total, byte in zip(sums.reshape(-1).tolist(), got.reshape(-1).tolist(), strict=True):
            exact = (total * mantissa * 2 + 2**shift) // 2 ** (shift + 1) + zero_point
            expected = min(max(exact, 0), 255)
            case = f"sum {total}, mantissa {mantissa}, shift {shift}, zero point {zero_point}"
            assert byte == expected, f"{case}: {exact}, saturated {expected}; got {byte}"
    _check_without_floats(student)
    _check_layer(student)


def _check_without_floats(student: ModuleType) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(student.requantize)))
    for node in ast.walk(tree):
        is_float = isinstance(node, ast.Constant) and isinstance(node.value, float)
        divides = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        named = isinstance(node, ast.Attribute) and node.attr in ("float32", "float64", "rint", "round", "floor")
        assert not (is_float or divides or named), (
            f"requantize computes with floats in {ast.unparse(node)!r}; integers alone are asked for"
        )


def _check_layer(student: ModuleType) -> None:
    layer = second_convolution(images().samples[:20])
    (x_scale, x_zero), (y_scale, y_zero) = (affine(float(one.min()), float(one.max())) for one in (layer.x, layer.y))
    w_scale = np.float32(np.abs(layer.weights).max() / 127)
    weights = np.rint(layer.weights / w_scale).astype(np.int8)
    bias = np.rint(layer.bias / np.float64(x_scale * w_scale)).astype(np.int32)
    x = store(layer.x, x_scale, x_zero)
    zeros = np.uint8(x_zero), np.int8(0), np.uint8(y_zero)
    own = function("q_linear_conv")(x, x_scale, zeros[0], weights, w_scale, zeros[1], y_scale, zeros[2], bias)
    sums = integer_sums(x, x_zero, weights, bias).astype(np.int32)
    got = student.requantize(sums, *student.fixed_point(float(x_scale * w_scale / y_scale)), y_zero)
    wrong = int(np.sum(got != own))
    assert wrong <= got.size // 10_000, (
        f"LeNet-5's second convolution: {wrong} of {got.size} bytes differ from q_linear_conv"
    )


def check_observer(student: ModuleType) -> None:
    """Part 3: an observer of the least error"""
    gained = 0.0
    for name, values in activations().items():
        observer = student.LeastErrorObserver()
        for batch in np.split(values, 5):
            observer.see(batch)
        low, high = observer.range()
        assert low <= 0 <= high, f"%{name}: the range {low} .. {high} does not hold 0"
        got, widest, own = (_quality(values, ends) for ends in ((low, high), _minmax(values), _cnnc(values)))
        seen = f"%{name}, seen from {values.min():.3f} to {values.max():.3f}"
        case = f"{seen}: your range {low:.3f} .. {high:.3f} has {got:.2f} dB"
        assert got >= widest - 1e-6, f"{case}, all that was seen {widest:.2f} dB: it should be one of the candidates"
        assert got >= own - 0.1, f"{case}, cnnc's mse {own:.2f} dB: try more candidates, or finer ones"
        gained = max(gained, got - widest)
    assert gained > 0.3, f"nowhere is it better than the smallest and largest element by more than {gained:.2f} dB"


def _quality(values: np.ndarray, ends: tuple[float, float]) -> float:
    form = affine(*ends)
    return sqnr(values, restore(store(values, *form), *form))


def _minmax(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _cnnc(values: np.ndarray) -> tuple[float, float]:
    extremes = Extremes()
    extremes.see(values, "x")
    histogram = Histogram(extremes.range)
    histogram.see(values)
    return chosen_range(extremes, histogram, Settings(method="mse"))


PARTS = (check_affine, check_requantize, check_observer)
