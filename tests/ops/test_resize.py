"""resize against ONNX's node tests and onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import ModelError
from cnnc.ir.fact import Content, Fact, Operands
from cnnc.ops import OPS
from cnnc.ops.resize import COORDINATE_MODES, NEAREST_MODES
from cnnc.types import DType, TensorType
from tests.ops.single_op import make_attrs, node_cases, run_node_case, run_op, run_ort


@pytest.mark.parametrize("case", list(node_cases("resize", "Resize").values()), ids=lambda case: case.name)
def test_onnx_node_tests(case: Any) -> None:
    for ours, expected in run_node_case(case, "resize"):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


SIZES = [(8, 10), (3, 4), (5, 14), (1, 1)]


@pytest.mark.parametrize("coordinates", COORDINATE_MODES[1:5])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("size", SIZES)
def test_interpolation_agrees_with_onnxruntime(coordinates: str, mode: str, size: tuple[int, int]) -> None:
    x = image(2, 3, 5, 7)
    inputs = [x, None, None, np.array([2, 3, *size], np.int64)]
    attrs = {"mode": mode, "coordinate_transformation_mode": coordinates}
    (ours,) = run_op("resize", inputs, **attrs)
    np.testing.assert_allclose(ours, run_ort("Resize", inputs, opset=19, **attrs)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nearest_mode", NEAREST_MODES)
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
def test_nearest_agrees_with_onnxruntime(coordinates: str, nearest_mode: str) -> None:
    x = image(1, 2, 4, 6)
    for scales in ([1, 1, 2, 2], [1, 1, 0.5, 0.5], [1, 1, 3, 1.5]):
        inputs = [x, None, np.array(scales, np.float32)]
        attrs = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest_mode}
        (ours,) = run_op("resize", inputs, **attrs)
        np.testing.assert_array_equal(ours, run_ort("Resize", inputs, opset=19, **attrs)[0])


@pytest.mark.parametrize("shape", [(1, 2, 5), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_one_and_three_spatial_axes(shape: tuple[int, ...], mode: str) -> None:
    x = image(*shape)
    inputs = [x, None, np.array([1, 1, *[2] * (len(shape) - 2)], np.float32)]
    (ours,) = run_op("resize", inputs, mode=mode)
    np.testing.assert_allclose(ours, run_ort("Resize", inputs, opset=19, mode=mode)[0], rtol=1e-5, atol=1e-6)


def test_integers_are_rounded_and_saturated() -> None:
    x = np.array([[[[0, 255], [255, 0]]]], np.uint8)
    (y,) = run_op("resize", [x, None, np.array([1, 1, 4, 4], np.float32)], mode="cubic")
    assert y.dtype == np.uint8 and y.min() == 0 and y.max() == 255


def test_empty_batch() -> None:
    x = image(0, 3, 4, 4)
    assert run_op("resize", [x, None, None, np.array([0, 3, 8, 8])], mode="linear")[0].shape == (0, 3, 8, 8)


def infer(attrs: dict, *facts: Fact | None) -> TensorType:
    return OPS["resize"].infer_types(make_attrs("resize", attrs), Operands(facts, node="up"))[0]


def test_symbolic_shapes() -> None:
    n, h = symbol("N"), symbol("H")
    x = Fact(TensorType((n, 3, h, 8), DType.F32))
    half = Fact(TensorType((4,), DType.F32), array=np.array([1, 1, 0.5, 1.5], np.float32))
    assert infer({}, x, None, half).shape == (n, 3, h // 2, 12)
    sizes = Fact(TensorType((4,), DType.I64), content=Content((n, 3, h * 2, 16)))
    assert infer({}, x, None, None, sizes).shape == (n, 3, h * 2, 16)
    unknown = Fact(TensorType((2,), DType.I64))
    assert infer({"axes": (2, 3)}, x, None, None, unknown).shape == (n, 3, symbol("u_up_d2"), symbol("u_up_d3"))


def test_contradictions_are_named() -> None:
    x = Fact(TensorType((1, 3, 8, 8), DType.F32))
    two = Fact(TensorType((2,), DType.F32), array=np.array([2, 2], np.float32))
    four = Fact(TensorType((4,), DType.F32), array=np.array([1, 1, -2, 2], np.float32))
    empty = Fact(TensorType((1, 3, 0, 8), DType.F32))
    wanted = Fact(TensorType((4,), DType.I64), array=np.array([1, 3, 4, 4]))
    for attrs, facts, parts in (
        ({}, (x,), ["neither"]),
        ({}, (x, None, two), ["4 elements"]),
        ({}, (x, None, four), ["-2.0", "above 0"]),
        ({"axes": (4,)}, (x, None, two), ["axis 4", "rank 4"]),
        ({"antialias": 1}, (x, None, two), ["antialias"]),
        ({}, (empty, None, None, wanted), ["axis 2", "empty"]),
    ):
        with pytest.raises(ModelError) as caught:
            infer(attrs, *facts)
        assert all(part in str(caught.value) for part in parts), caught.value
    with pytest.raises(ModelError, match="bilinear"):
        make_attrs("resize", {"mode": "bilinear"})
