"""grid_sample, affine_grid, deform_conv, regions and suppression against ONNX's node tests and onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.errors import InputError, ModelError
from tests.ops.single_op import infer_error, make_attrs, node_cases, run_node_case, run_op, run_ort

CASES = [
    (case, name)
    for module, op_type, name in (
        ("gridsample", "GridSample", "grid_sample"),
        ("affinegrid", "AffineGrid", "affine_grid"),
        ("deformconv", "DeformConv", "deform_conv"),
        ("roialign", "RoiAlign", "roi_align"),
        ("nonmaxsuppression", "NonMaxSuppression", "non_max_suppression"),
    )
    for case in node_cases(module, op_type).values()
]


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_onnx_node_tests(case: Any, name: str) -> None:
    for ours, expected in run_node_case(case, name):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_grid_sample_agrees_with_onnxruntime(mode: str, padding_mode: str, align_corners: int) -> None:
    for shape in ((2, 3, 5, 4), (1, 2, 3, 4, 5)):
        if len(shape) == 5 and mode == "cubic":
            continue  # onnxruntime has no cubic for volumes
        x = rng().standard_normal(shape).astype(np.float32)
        grid = rng().uniform(-1.6, 1.6, (shape[0], *(3, 4, 6)[: len(shape) - 2], len(shape) - 2)).astype(np.float32)
        attrs = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        (ours,) = run_op("grid_sample", [x, grid], **attrs)
        np.testing.assert_allclose(ours, run_ort("GridSample", [x, grid], **attrs)[0], rtol=1e-3, atol=1e-4)


def test_deform_conv_without_offsets_is_a_convolution() -> None:
    x = rng().standard_normal((2, 4, 7, 6))
    w = rng().standard_normal((6, 2, 3, 2))
    attrs: dict = {"group": 2, "pads": [1, 0, 1, 2], "strides": [2, 1], "dilations": [1, 2]}
    (plain,) = run_op("conv", [x, w], **attrs)
    offset = np.zeros((2, 2 * 6 * 2, *plain.shape[2:]))
    (deformed,) = run_op("deform_conv", [x, w, offset], offset_group=2, **attrs)
    np.testing.assert_allclose(deformed, plain, rtol=1e-12, atol=1e-12)
    half = np.full((2, 2 * 6, *plain.shape[2:]), 0.5)
    (masked,) = run_op("deform_conv", [x, w, offset, None, half], offset_group=2, **attrs)
    np.testing.assert_allclose(masked, plain / 2, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("transform", ["half_pixel", "output_half_pixel"])
def test_roi_align_agrees_with_onnxruntime(mode: str, sampling_ratio: int, transform: str) -> None:
    x = rng().standard_normal((2, 3, 9, 8)).astype(np.float32)
    rois = np.array([[0, 0, 7, 8], [3, 2, 15, 12], [-4, -3, 4, 6], [1, 1, 2, 1.5]], np.float32)
    attrs = {
        "mode": mode,
        "sampling_ratio": sampling_ratio,
        "coordinate_transformation_mode": transform,
        "output_height": 3,
        "output_width": 2,
        "spatial_scale": 0.7,
    }
    inputs = [x, rois, np.array([0, 1, 1, 0])]
    (ours,) = run_op("roi_align", inputs, **attrs)
    np.testing.assert_allclose(ours, run_ort("RoiAlign", inputs, opset=16, **attrs)[0], rtol=1e-3, atol=1e-4)


def test_max_roi_pool_agrees_with_onnxruntime() -> None:
    x = rng().standard_normal((2, 3, 9, 8)).astype(np.float32)
    rois = np.array([[0, 0, 0, 7, 8], [1, 3, 2, 15, 12], [1, 2, 2, 2, 2]], np.float32)
    attrs = {"pooled_shape": [3, 2], "spatial_scale": 0.5}
    (ours,) = run_op("max_roi_pool", [x, rois], **attrs)
    np.testing.assert_array_equal(ours, run_ort("MaxRoiPool", [x, rois], opset=21, **attrs)[0])


@pytest.mark.parametrize("center_point_box", [0, 1])
def test_suppression_agrees_with_onnxruntime(center_point_box: int) -> None:
    boxes = rng().uniform(0, 1, (2, 40, 4)).astype(np.float32)
    scores = rng().uniform(0, 1, (2, 3, 40)).astype(np.float32)
    inputs = [boxes, scores, np.array([7]), np.array([0.3], np.float32), np.array([0.2], np.float32)]
    (ours,) = run_op("non_max_suppression", inputs, center_point_box=center_point_box)
    theirs = run_ort("NonMaxSuppression", inputs, center_point_box=center_point_box)[0]
    np.testing.assert_array_equal(ours, theirs)
    assert run_op("non_max_suppression", [boxes, scores])[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "parts"),
    [
        ("grid_sample", [(1, 3, 4, 4), (1, 2, 2, 3)], {}, ["[N, output..., 2]"]),
        ("grid_sample", [(2, 3, 4, 4), (1, 2, 2, 2)], {}, ["2 images", "1"]),
        ("affine_grid", [(1, 2, 3), (4,)], {}, ["i64"]),
        ("deform_conv", [(1, 4, 5, 5), (2, 4, 3, 3), (1, 9, 3, 3)], {}, ["offset", "18"]),
        ("deform_conv", [(1, 4, 5, 5), (2, 4, 3, 3), (1, 18, 3, 3)], {"offset_group": 3}, ["3 offset groups"]),
        ("max_roi_pool", [(1, 3, 4, 4), (2, 4)], {"pooled_shape": (2, 2)}, ["[R, 5]"]),
        ("non_max_suppression", [(1, 6, 4), (1, 2, 5)], {}, ["6 boxes", "5"]),
    ],
)
def test_contradictions_are_named(name: str, shapes: list, attrs: dict, parts: list[str]) -> None:
    message = infer_error(name, shapes, **attrs)
    assert all(part in message for part in parts), message


def test_unknown_modes_are_refused() -> None:
    with pytest.raises(ModelError, match="bilinear"):
        make_attrs("grid_sample", {"mode": "bilinear"})
    with pytest.raises(ModelError, match="median"):
        make_attrs("roi_align", {"mode": "median"})


def test_regions_outside_of_the_batch_are_refused() -> None:
    x, rois = np.ones((1, 1, 4, 4), np.float32), np.array([[0, 0, 2, 2]], np.float32)
    with pytest.raises(InputError, match="batch of 1"):
        run_op("roi_align", [x, rois, np.array([-1])])
    with pytest.raises(InputError, match="batch of 1"):
        run_op("max_roi_pool", [x, np.array([[1, 0, 0, 2, 2]], np.float32)], pooled_shape=[1, 1])
