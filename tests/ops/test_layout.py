"""Ops that move channels and blocks, against onnxruntime and ONNX's node tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import UnsupportedError
from cnnc.ir.fact import Fact, Operands
from cnnc.ops import OPS
from cnnc.types import DType, Layout, TensorType
from tests.ops.single_op import infer_error, make_attrs, node_cases, run_node_case, run_op, run_ort

CASES = [
    (case, name)
    for module, op_type, name in (
        ("depthtospace", "DepthToSpace", "depth_to_space"),
        ("spacetodepth", "SpaceToDepth", "space_to_depth"),
        ("center_crop_pad", "CenterCropPad", "center_crop_pad"),
        ("col2im", "Col2Im", "col2im"),
    )
    for case in node_cases(module, op_type).values()
]


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_onnx_node_tests(case: Any, name: str) -> None:
    for ours, expected in run_node_case(case, name):
        np.testing.assert_array_equal(ours, expected)


def test_dropout_keeps_everything_at_inference() -> None:
    for case in node_cases("dropout", "Dropout").values():
        if not case.name.startswith("test_training"):
            for ours, expected in run_node_case(case, "dropout"):
                np.testing.assert_array_equal(ours, expected)
    with pytest.raises(UnsupportedError, match="training"):
        run_op("dropout", [np.ones((2, 3), np.float32), np.array(0.5, np.float32), np.array(True)])


def test_channel_shuffle_is_reshape_transpose_reshape() -> None:
    x = np.arange(2 * 6 * 2 * 3, dtype=np.float32).reshape(2, 6, 2, 3)
    (y,) = run_op("channel_shuffle", [x], groups=2)
    assert y[0, :, 0, 0].tolist() == x[0, [0, 3, 1, 4, 2, 5], 0, 0].tolist()
    back = run_op("channel_shuffle", [y], groups=3)[0]
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_space_to_depth_inverts_depth_to_space(mode: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 18, 3, 5)).astype(np.float32)
    (y,) = run_op("depth_to_space", [x], blocksize=3, mode=mode)
    np.testing.assert_array_equal(y, run_ort("DepthToSpace", [x], opset=13, blocksize=3, mode=mode)[0])
    np.testing.assert_array_equal(run_op("space_to_depth", [y], blocksize=3, mode=mode)[0], x)


def test_convert_layout_changes_the_type_only() -> None:
    attrs = make_attrs("convert_layout", {"layout": Layout(16)})
    fact = Fact(TensorType((1, 20, 4, 4), DType.F32))
    (type,) = OPS["convert_layout"].infer_types(attrs, Operands([fact]))
    assert type == TensorType((1, 20, 4, 4), DType.F32, Layout(16))
    x = np.ones((1, 20, 4, 4), np.float32)
    assert OPS["convert_layout"].reference(attrs, [x])[0] is x


def test_unknown_sizes_become_symbols() -> None:
    x, shape = Fact(TensorType((1, 3, 8, 8), DType.F32)), Fact(TensorType((2,), DType.I64))
    attrs = make_attrs("center_crop_pad", {"axes": (2, 3)})
    (type,) = OPS["center_crop_pad"].infer_types(attrs, Operands([x, shape], node="crop"))
    assert type.shape == (1, 3, symbol("u_crop_d2"), symbol("u_crop_d3"))


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "parts"),
    [
        ("depth_to_space", [(1, 6, 2, 2)], {"blocksize": 2}, ["6 channels", "4"]),
        ("depth_to_space", [(1, 6, 2)], {"blocksize": 2}, ["[N, C, H, W]"]),
        ("depth_to_space", [(1, 4, 2, 2)], {"blocksize": 2, "mode": "ABC"}, ["ABC"]),
        ("space_to_depth", [(1, 6, 3, 2)], {"blocksize": 2}, ["size 3", "blocksize 2"]),
        ("channel_shuffle", [(1, 6, 3, 2)], {"groups": 4}, ["6 channels", "4 groups"]),
    ],
)
def test_contradictions_are_named(name: str, shapes: list, attrs: dict, parts: list[str]) -> None:
    message = infer_error(name, shapes, **attrs)
    assert all(part in message for part in parts), message
