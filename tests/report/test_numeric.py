"""Errors of layers against onnxruntime, on the tensors of the program itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import cnnc
from cnnc import dsl
from cnnc.lower.builder import Place
from cnnc.report import Report, collect, numeric
from cnnc.report.program_tensors import stored_tensor
from cnnc.types import DType, Layout, TensorType
from tests.cli.command_line import LENET


def small_network(x: dsl.Tensor) -> dsl.Tensor:
    """Odd channels, a concat that is written in place, a residual, a normalization that folds, a plain end."""
    left = dsl.relu(dsl.BatchNorm(9)(dsl.Conv2d(3, 9, 3, padding=1)(x)))
    both = dsl.concat([left, dsl.relu(dsl.Conv2d(9, 7, 1)(left))], axis=1)
    summed = dsl.Conv2d(16, 16, 1)(both) + both
    return dsl.Linear(16, 5)(dsl.flatten(dsl.global_avg_pool(summed)))


@pytest.fixture(scope="module")
def report() -> Report:
    """Of a network whose results are all compared, in groups that hold one each."""
    pytest.importorskip("onnxruntime")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numeric, "MOST_BYTES", 1)
        return collect(cnnc.compile(dsl.model(small_network, ("N", 3, 11, 13))))


@pytest.mark.jit
def test_every_layer_has_an_error_or_a_reason(report: Report) -> None:
    assert report.summary.error_reason == ""
    for layer in report.layers:
        assert layer.numeric is not None, layer.name
        if layer.numeric.reason:
            assert layer.op == "convert_layout"
        else:
            assert layer.numeric.max_error is not None
            assert layer.numeric.max_error < 1e-4


@pytest.mark.jit
def test_fused_layers_are_compared_at_their_end(report: Report) -> None:
    fused = next(layer for layer in report.layers if len(layer.origins) > 2)
    assert fused.numeric is not None
    assert fused.numeric.tensor.startswith("relu")


@pytest.mark.jit
def test_the_largest_error_is_the_summary_s(report: Report) -> None:
    errors = [layer.numeric.max_error for layer in report.layers if layer.numeric and layer.numeric.max_error]
    assert report.summary.max_error == max(errors)


@pytest.mark.jit
def test_without_onnxruntime_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = collect(cnnc.compile(LENET))
    assert "onnxruntime is not installed" in found.summary.error_reason
    assert found.summary.run_seconds is not None
    assert all(layer.numeric is None for layer in found.layers)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_in_one_alone_has_a_reason(odd: float) -> None:
    fine, broken = np.ones(4, np.float32), np.array([1, odd, 1, 1], np.float32)
    for got, reference in ((fine, broken), (broken, fine)):
        found = numeric._error("y", got, reference)
        assert found.max_error is None
        assert "NaN" in found.reason
    assert numeric._error("y", broken, broken).max_error == 0.0
    assert "shape" in numeric._error("y", fine, fine[:2]).reason


@pytest.mark.parametrize("layout", [Layout(), Layout(4), Layout(4, (3, 6))])
@pytest.mark.parametrize("gap", [0, 8])
def test_stored_tensor(layout: Layout, gap: int) -> None:
    rng = np.random.default_rng(1)
    type = TensorType((2, 9, 3, 5), DType.F32, layout)
    lanes = layout.physical_channels(9)
    images = np.full((2, lanes, 3, 5), np.nan, np.float32)
    expected = rng.standard_normal((2, 9, 3, 5)).astype(np.float32)
    images[:, layout.lanes(9) if layout.is_blocked else slice(None)] = expected
    if layout.is_blocked:
        images = np.moveaxis(images.reshape(2, lanes // 4, 4, 3, 5), 2, -1)
    padded = np.concatenate([images.reshape(2, -1), np.full((2, gap), np.nan, np.float32)], axis=1)
    memory = np.concatenate([np.zeros(16, np.uint8), np.ascontiguousarray(padded).reshape(-1).view(np.uint8)])
    found = stored_tensor(memory, Place(0, type, 16, gap), {})
    np.testing.assert_array_equal(found, expected)


def test_stored_scalars_and_empty_tensors() -> None:
    one = np.array([3.0], np.float32).view(np.uint8)
    assert stored_tensor(one, Place(0, TensorType((), DType.F32)), {}) == 3.0
    assert stored_tensor(one, Place(0, TensorType((0, 4), DType.F32)), {}).shape == (0, 4)
