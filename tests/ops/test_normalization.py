"""Normalizations against onnxruntime and ONNX's node tests."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.ops.activation import Activation
from tests.ops.single_op import infer_error, node_cases, run_node_case, run_op, run_ort

CASES = [
    (case, name)
    for module, op_type, name in (
        ("batch_normalization", "BatchNormalization", "batch_normalization"),
        ("instance_normalization", "InstanceNormalization", "instance_normalization"),
        ("groupnormalization", "GroupNormalization", "group_normalization"),
        ("layernormalization", "LayerNormalization", "layer_normalization"),
        ("rmsnormalization", "RMSNormalization", "rms_normalization"),
        ("lpnormalization", "LpNormalization", "lp_normalization"),
        ("meanvariancenormalization", "MeanVarianceNormalization", "mean_variance_normalization"),
        ("lrn", "LRN", "lrn"),
    )
    for case in node_cases(module, op_type).values()
]


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_onnx_node_tests(case: object, name: str) -> None:
    for ours, expected in run_node_case(case, name):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("spatial", [(), (7,), (3, 5), (2, 3, 4)])
def test_batch_normalization_agrees_with_onnxruntime(spatial: tuple[int, ...]) -> None:
    inputs = [random(0, 3, 5, *spatial), *(random(i, 5) for i in (1, 2, 3)), np.abs(random(4, 5)) + 0.1]
    for epsilon in (1e-5, 1e-2):
        (ours,) = run_op("batch_normalization", inputs, epsilon=epsilon)
        (theirs,) = run_ort("BatchNormalization", inputs, epsilon=epsilon)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spatial", [(7,), (3, 5), (2, 3, 4)])
def test_instance_and_group_normalization_agree_with_onnxruntime(spatial: tuple[int, ...]) -> None:
    x, scale, bias = random(0, 2, 6, *spatial), random(1, 6), random(2, 6)
    (ours,) = run_op("instance_normalization", [x, scale, bias])
    np.testing.assert_allclose(ours, run_ort("InstanceNormalization", [x, scale, bias])[0], rtol=1e-4, atol=1e-5)
    (ours,) = run_op("group_normalization", [x, scale, bias], num_groups=3)
    expected = run_ort("GroupNormalization", [x, scale, bias], num_groups=3)[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_lrn_agrees_with_onnxruntime_for_odd_sizes(size: int) -> None:
    x = random(0, 2, 6, 3, 5)
    (ours,) = run_op("lrn", [x], size=size, alpha=0.1, beta=0.6, bias=1.5)
    if size % 2:  # onnxruntime refuses even sizes
        np.testing.assert_allclose(ours, run_ort("LRN", [x], size=size, alpha=0.1, beta=0.6, bias=1.5)[0], rtol=1e-5)
    else:
        near = [max(0, 2 - (size - 1) // 2), min(6, 2 + size // 2 + 1)]
        total = (x[:, near[0] : near[1]] ** 2).sum(axis=1)
        np.testing.assert_allclose(ours[:, 2], x[:, 2] / (1.5 + 0.1 / size * total) ** 0.6, rtol=1e-5)


def test_scale_shift_is_multiply_add_then_activation() -> None:
    x, scale, shift = random(0, 2, 5, 3, 4), random(1, 5), random(2, 5)
    (ours,) = run_op("scale_shift", [x, scale, shift], activation=Activation("relu"))
    expected = np.maximum(x * scale[:, None, None] + shift[:, None, None], 0)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "parts"),
    [
        ("batch_normalization", [(1, 4, 3), (4,), (4,), (4,), (3,)], {}, ["variance", "3 elements", "4 channels"]),
        ("batch_normalization", [(4,), (4,), (4,), (4,), (4,)], {}, ["channel axis"]),
        ("instance_normalization", [(1, 4), (4,), (4,)], {}, ["spatial"]),
        ("group_normalization", [(1, 4, 3), (4,), (4,)], {"num_groups": 3}, ["4 channels", "3 groups"]),
        ("layer_normalization", [(1, 4, 3), (4,)], {}, ["scale", "does not broadcast"]),
        ("layer_normalization", [(1, 4, 3), (3,)], {"axis": 3}, ["axis 3", "rank 3"]),
        ("lp_normalization", [(1, 4)], {"p": 3}, ["1 or 2"]),
        ("lrn", [(1, 4, 3)], {"size": 0}, ["at least 1"]),
        ("scale_shift", [(1, 4, 3), (4,), (5,)], {}, ["shift", "5 elements"]),
        ("mean_variance_normalization", [(1, 4, 3)], {}, ["axis 3"]),
    ],
)
def test_contradictions_are_named(name: str, shapes: list, attrs: dict, parts: list[str]) -> None:
    message = infer_error(name, shapes, **attrs)
    assert all(part in message for part in parts), message
