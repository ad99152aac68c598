"""Old versions of operators mean in the IR what they mean in onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cnnc.errors import UnsupportedError
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, compare, run_cnnc, tensor_input

pytest.importorskip("onnxruntime")
node = helper.make_node


def random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def check(
    nodes: onnx.NodeProto | Sequence[onnx.NodeProto],
    feeds: dict[str, np.ndarray[Any, Any]],
    opset: int,
    outputs: Sequence[str] = ("y",),
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
) -> onnx.ModelProto:
    """Compare one model with onnxruntime; each feed becomes an input of its own shape."""
    inputs = [
        tensor_input(name, array.shape, helper.np_dtype_to_tensor_dtype(array.dtype)) for name, array in feeds.items()
    ]
    listed = [nodes] if isinstance(nodes, onnx.NodeProto) else nodes
    model = build(listed, inputs, outputs, opset=opset, weights=weights)
    compare(model, feeds)
    return model


@pytest.mark.parametrize("opset", [7, 10])
@pytest.mark.parametrize("bounds", [{}, {"min": -0.5}, {"max": 0.25}, {"min": -0.5, "max": 0.25}])
def test_clip_bounds_were_attributes(opset: int, bounds: dict[str, float]) -> None:
    check(node("Clip", ["x"], ["y"], **bounds), {"x": random(3, 5)}, opset)


def test_clip_with_an_empty_bound() -> None:
    weights = {"high": np.array(0.25, np.float32)}
    check(node("Clip", ["x", "", "high"], ["y"]), {"x": random(3, 5)}, 13, weights=weights)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, 3, -1, -2])
def test_softmax_saw_a_matrix_before_13(op: str, opset: int, axis: int | None) -> None:
    if opset == 7 and axis is not None and axis < 0:
        pytest.skip("negative axes came with opset 11")
    attributes = {} if axis is None else {"axis": axis}
    check(node(op, ["x"], ["y"], **attributes), {"x": random(2, 3, 4, 5)}, opset)


def test_softmax_over_open_sizes() -> None:
    model = build([node("Softmax", ["x"], ["y"])], [tensor_input("x", ("N", "C", "H", 3))], ["y"], opset=11)
    compare(model, {"x": random(2, 3, 4, 3)})


def test_softmax_of_channels_before_1x1_maps_needs_no_reshape() -> None:
    model = build([node("Softmax", ["x"], ["y"])], [tensor_input("x", ("N", 10, 1, 1))], ["y"], opset=9)
    assert [n.op for n in import_onnx(model).nodes] == ["softmax"]


@pytest.mark.parametrize("axes", [None, [1], [0, 1]])
def test_squeeze_axes_were_an_attribute(axes: list[int] | None) -> None:
    shape = (1, 1, 3) if axes != [1] else (2, 1, 3)
    check(node("Squeeze", ["x"], ["y"], **({} if axes is None else {"axes": axes})), {"x": random(*shape)}, 9)


def test_unsqueeze_axes_were_an_attribute() -> None:
    check(node("Unsqueeze", ["x"], ["y"], axes=[0, 3]), {"x": random(2, 3)}, 11)


@pytest.mark.parametrize(("opset", "sizes"), [(7, [1, 3]), (7, None), (11, [2, 2]), (13, None)])
def test_split_sizes_were_an_attribute(opset: int, sizes: list[int] | None) -> None:
    attributes = {} if sizes is None else {"split": sizes}
    check(node("Split", ["x"], ["y", "z"], axis=1, **attributes), {"x": random(2, 4)}, opset, ("y", "z"))


def test_split_into_unequal_parts_of_18() -> None:
    check(node("Split", ["x"], ["y", "z", "w"], num_outputs=3), {"x": random(7, 2)}, 18, ("y", "z", "w"))


@pytest.mark.parametrize("axes", [None, [1], [0, 1]])
def test_slice_bounds_were_attributes(axes: list[int] | None) -> None:
    count = 2 if axes is None else len(axes)
    bounds = {"starts": [1] * count, "ends": [-1] * count} | ({} if axes is None else {"axes": axes})
    check(node("Slice", ["x"], ["y"], **bounds), {"x": random(4, 5)}, 9)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pads_were_an_attribute(mode: str) -> None:
    attributes = {"pads": [0, 1, 2, 0], "mode": mode} | ({"value": 1.5} if mode == "constant" else {})
    check(node("Pad", ["x"], ["y"], **attributes), {"x": random(4, 5)}, 9)


def test_top_k_had_an_attribute() -> None:
    check(node("TopK", ["x"], ["y", "i"], k=2, axis=1), {"x": random(3, 6)}, 9, ("y", "i"))


def test_only_the_indices_of_top_k() -> None:
    check(node("TopK", ["x", "k"], ["unread", "i"]), {"x": random(3, 6)}, 13, ("i",), {"k": np.array([2], np.int64)})


@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"])
@pytest.mark.parametrize("attributes", [{}, {"axes": [1]}, {"axes": [0, 2], "keepdims": 0}], ids=str)
@pytest.mark.parametrize("opset", [9, 12])
def test_reduction_axes_were_an_attribute(op: str, attributes: dict[str, Any], opset: int) -> None:
    check(node(f"Reduce{op}", ["x"], ["y"], **attributes), {"x": np.abs(random(2, 3, 4)) + 0.1}, opset)


@pytest.mark.parametrize("opset", [7, 10, 12])
def test_dropout_keeps_everything(opset: int) -> None:
    check(node("Dropout", ["x"], ["y"], **({} if opset == 12 else {"ratio": 0.3})), {"x": random(2, 3)}, opset)


def test_dropout_mask() -> None:
    check(node("Dropout", ["x"], ["y", "m"]), {"x": random(2, 3)}, 12, ("y", "m"))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [7, 9])
def test_upsample(mode: str, opset: int) -> None:
    scales = [1.0, 1.0, 2.0, 3.0]
    if opset == 7:
        check(node("Upsample", ["x"], ["y"], mode=mode, scales=scales), {"x": random(1, 2, 3, 4)}, 7)
    else:
        weights = {"s": np.array(scales, np.float32)}
        check(node("Upsample", ["x", "s"], ["y"], mode=mode), {"x": random(1, 2, 3, 4)}, 9, weights=weights)


@pytest.mark.parametrize("scales", [[1, 1, 2, 3], [1, 1, 0.6, 0.6], [1, 1, 1.5, 1]], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_10_rounds_by_direction(mode: str, scales: list[float]) -> None:
    weights = {"s": np.array(scales, np.float32)}
    check(node("Resize", ["x", "s"], ["y"], mode=mode), {"x": random(1, 2, 5, 7)}, 10, weights=weights)


def test_resize_10_in_both_directions_is_refused() -> None:
    weights = {"s": np.array([1, 1, 2, 0.5], np.float32)}
    call = node("Resize", ["x", "s"], ["y"])
    model = build([call], [tensor_input("x", (1, 1, 4, 4))], ["y"], opset=10, weights=weights)
    with pytest.raises(UnsupportedError, match="growing"):
        import_onnx(model)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_resize_by_sizes_with_empty_inputs(opset: int) -> None:
    empty = np.zeros(0, np.float32)
    weights = {"roi": empty, "scales": empty, "sizes": np.array([1, 2, 5, 9], np.int64)}
    inputs = ["x", "roi", "scales", "sizes"] if opset == 11 else ["x", "", "", "sizes"]
    weights = weights if opset == 11 else {"sizes": weights["sizes"]}
    check(node("Resize", inputs, ["y"], mode="linear"), {"x": random(1, 2, 3, 4)}, opset, weights=weights)


@pytest.mark.parametrize("opset", [7, 9, 14])
def test_batch_normalization(opset: int) -> None:
    weights = {name: np.abs(random(3)) + index for index, name in enumerate("sbmv")}
    call = node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-3)
    check(call, {"x": random(2, 3, 4, 5)}, opset, weights=weights)


def test_batch_normalization_of_each_activation() -> None:
    """spatial=0 of opset 7; onnxruntime refuses it, so the expected value is written out."""
    x = random(2, 3, 4)
    scale, bias, mean, variance = (np.abs(random(3, 4)) + index for index in range(4))
    call = node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], spatial=0, epsilon=1e-3)
    weights = {"s": scale, "b": bias, "m": mean, "v": variance}
    model = build([call], [tensor_input("x", (2, 3, 4))], ["y"], opset=7, weights=weights)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * scale + bias
    np.testing.assert_allclose(run_cnnc(model, {"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


def test_batch_normalization_whose_training_outputs_are_read_is_refused() -> None:
    weights = {name: np.ones(3, np.float32) for name in "sbmv"}
    call = node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "mean"])
    model = build([call], [tensor_input("x", (2, 3, 4))], ["y", "mean"], opset=9, weights=weights)
    with pytest.raises(UnsupportedError, match="training outputs"):
        import_onnx(model)


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization_scales(opset: int) -> None:
    size = 2 if opset == 18 else 6
    weights = {"s": random(size), "b": random(size) + 1}
    call = node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)
    if opset == 18:
        grouped = random(2, 6, 4, 5).reshape(2, 2, -1)
        mean, variance = grouped.mean(2, keepdims=True), grouped.var(2, keepdims=True)
        normal = (grouped - mean) / np.sqrt(variance + 1e-5)
        expected = (normal * weights["s"][:, None] + weights["b"][:, None]).reshape(2, 6, 4, 5)
        model = build([call], [tensor_input("x", (2, 6, 4, 5))], ["y"], opset=18, weights=weights)
        np.testing.assert_allclose(run_cnnc(model, {"x": random(2, 6, 4, 5)})["y"], expected, rtol=1e-5, atol=1e-5)
    else:
        check(call, {"x": random(2, 6, 4, 5)}, opset, weights=weights)


@pytest.mark.parametrize("opset", [7, 9, 11])
def test_gemm(opset: int) -> None:
    weights = {"w": random(4, 3), "b": random(4)}
    check(node("Gemm", ["x", "w", "b"], ["y"], transB=1, alpha=0.5), {"x": random(2, 3)}, opset, weights=weights)


@pytest.mark.parametrize("opset", [7, 8, 10, 12])
def test_pools(opset: int) -> None:
    nodes = [
        node("MaxPool", ["x"], ["m"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("AveragePool", ["x"], ["a"], kernel_shape=[3, 2], pads=[1, 0, 0, 1]),
        node("LpPool", ["x"], ["l"], kernel_shape=[2, 2]),
    ]
    check(nodes, {"x": random(1, 2, 7, 8)}, opset, ("m", "a", "l"))


def test_scatter() -> None:
    feeds = {"x": random(3, 4), "i": np.array([[0, 2, 1, 0]], np.int64), "u": random(1, 4)}
    check(node("Scatter", ["x", "i", "u"], ["y"]), feeds, 9)


@pytest.mark.parametrize("opset", [16, 20])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_sample_modes_were_renamed(opset: int, mode: str) -> None:
    spelled = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode) if opset == 16 else mode
    feeds = {"x": random(1, 2, 4, 5), "g": np.tanh(random(1, 3, 3, 2))}
    check(node("GridSample", ["x", "g"], ["y"], mode=spelled), feeds, opset)


@pytest.mark.parametrize("opset", [10, 16])
def test_roi_align_shift(opset: int) -> None:
    regions = np.array([[0, 0, 5, 6], [1, 2, 7, 7]], np.float32)
    feeds = {"x": random(1, 2, 8, 8), "r": regions, "b": np.zeros(2, np.int64)}
    check(node("RoiAlign", ["x", "r", "b"], ["y"], output_height=3, output_width=2, sampling_ratio=2), feeds, opset)


@pytest.mark.parametrize("opset", [10, 13, 19, 21])
def test_quantize_and_dequantize(opset: int) -> None:
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    weights = {"s": np.array(0.05, np.float32), "z": np.array(128, np.uint8)}
    check(nodes, {"x": random(3, 5)}, opset, ("q", "y"), weights)


@pytest.mark.parametrize("value", [np.array([2.5], np.float32), np.array([7], np.int64), np.array([True]), None])
def test_constant_of_shape(value: np.ndarray[Any, Any] | None) -> None:
    attributes = {} if value is None else {"value": onnx.numpy_helper.from_array(value)}
    check(node("ConstantOfShape", ["s"], ["y"], **attributes), {"s": np.array([2, 3], np.int64)}, 13)


@pytest.mark.parametrize(
    "attributes",
    [
        {"value_int": 3},
        {"value_ints": [1, 2]},
        {"value_float": 0.5},
        {"value_floats": [0.5, 1.5]},
        {"value": onnx.numpy_helper.from_array(np.array([[1.0, 2.0]]))},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_constants(attributes: dict[str, Any]) -> None:
    check([node("Constant", [], ["c"], **attributes), node("Neg", ["c"], ["y"])], {}, 13)


def test_sparse_constants() -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [5.0])
    positions = helper.make_tensor("i", TensorProto.INT64, [1], [2])
    call = node("Constant", [], ["y"], sparse_value=helper.make_sparse_tensor(values, positions, [4]))
    array = import_onnx(build([call], [], ["y"])).outputs[0].array
    assert array is not None
    assert array.tolist() == [0, 0, 5, 0]


# ---- opsets that onnxruntime no longer runs: the expected values are written out -------------------------------------


def run_old(call: onnx.NodeProto, feeds: dict[str, np.ndarray[Any, Any]], opset: int) -> np.ndarray[Any, Any]:
    inputs = [
        tensor_input(name, array.shape, helper.np_dtype_to_tensor_dtype(array.dtype)) for name, array in feeds.items()
    ]
    result: np.ndarray[Any, Any] = run_cnnc(build([call], inputs, ["y"], opset=opset), feeds)["y"]
    return result


@pytest.mark.parametrize("op", ["Add", "Mul", "Pow"])
def test_broadcast_by_axis_before_7(op: str) -> None:
    a, b = np.abs(random(2, 3, 4, 5)), np.abs(random(3, 4))
    got = run_old(node(op, ["a", "b"], ["y"], broadcast=1, axis=1), {"a": a, "b": b}, 6)
    compute = {"Add": np.add, "Mul": np.multiply, "Pow": np.power}[op]
    np.testing.assert_allclose(got, compute(a, b[:, :, None]), rtol=1e-6)


def test_prelu_slopes_were_per_channel_before_7() -> None:
    x, slope = random(2, 3, 4, 5), np.abs(random(3))
    got = run_old(node("PRelu", ["x", "s"], ["y"]), {"x": x, "s": slope}, 6)
    np.testing.assert_allclose(got, np.where(x < 0, x * slope[:, None, None], x), rtol=1e-6)


def test_reshape_and_cast_of_opset_1() -> None:
    x = random(2, 6)
    reshaped = run_old(node("Reshape", ["x"], ["y"], shape=[0, 3, -1]), {"x": x}, 4)
    np.testing.assert_array_equal(reshaped, x.reshape(2, 3, 2))
    np.testing.assert_array_equal(run_old(node("Cast", ["x"], ["y"], to="INT32"), {"x": x}, 5), x.astype(np.int32))


def test_concat_had_a_default_axis_before_4() -> None:
    x = random(2, 3)
    np.testing.assert_array_equal(run_old(node("Concat", ["x", "x"], ["y"]), {"x": x}, 3), np.concatenate([x, x], 1))


def test_tile_of_opset_1_tiles_one_axis() -> None:
    x = random(2, 3)
    weights = {"tiles": np.array([2], np.int64), "axis": np.array([1], np.int64)}
    call = node("Tile", ["x", "tiles", "axis"], ["y"])
    model = build([call], [tensor_input("x", (2, 3))], ["y"], opset=5, weights=weights)
    np.testing.assert_array_equal(run_cnnc(model, {"x": x})["y"], np.tile(x, (1, 2)))
