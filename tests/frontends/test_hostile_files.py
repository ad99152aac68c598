"""Files that are no models, or broken ones: one clear error each, in bounded time and memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cnnc.errors import ModelError, UnsupportedError, UserError
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, relu_model, tensor_input


def conv_model() -> onnx.ModelProto:
    weights = {"w": np.ones((2, 3, 3, 3), np.float32), "b": np.zeros(2, np.float32)}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv1", pads=[1, 1, 1, 1])
    return build([node], [tensor_input("x", ("N", 3, 8, 8))], ["y"], weights=weights)


def test_a_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(relu_model().SerializeToString())
    assert [node.op for node in import_onnx(path).nodes] == ["relu"]
    assert len(import_onnx(str(path))) == 1


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.onnx.*no such file"):
        import_onnx(tmp_path / "missing.onnx")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a file"):
        import_onnx(tmp_path)


def test_empty_file() -> None:
    with pytest.raises(ModelError, match="empty"):
        import_onnx(b"")


@pytest.mark.parametrize(
    ("start", "fragment"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"PK\x03\x04rest of an archive", "zip"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\x7fELF", "program"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b'{"a": 1}', "JSON"),
    ],
)
def test_other_formats_are_called_by_name(start: bytes, fragment: str) -> None:
    with pytest.raises(ModelError, match=fragment):
        import_onnx(start)


def test_truncated() -> None:
    data = conv_model().SerializeToString()
    with pytest.raises(ModelError, match=r"does not parse|no graph"):
        import_onnx(data[: len(data) // 2])


@pytest.mark.parametrize("field", ["name", "op_type", "input"])
def test_names_that_are_no_text(field: str) -> None:
    model = conv_model()
    node = model.graph.node[0]
    if field == "input":
        node.input[0] = "@@@@"
    else:
        setattr(node, field, "@@@@")
    data = model.SerializeToString().replace(b"@@@@", b"@\xff\xfe@")
    with pytest.raises(ModelError, match="is not UTF-8 text"):
        import_onnx(data)


def test_garbage() -> None:
    with pytest.raises(ModelError, match=r"does not parse|no graph"):
        import_onnx(np.random.default_rng(0).bytes(4096))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_never_end_in_a_traceback(data: st.DataObject) -> None:
    model = bytearray(conv_model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    del model[data.draw(st.integers(len(model) // 4, len(model))) :]
    with contextlib.suppress(UserError):
        import_onnx(bytes(model))


SIZES = st.sampled_from([-(1 << 62), -2, -1, 0, 1, 2, 3, 7, 1 << 31, 1 << 40, 1 << 62])


def varied_model() -> onnx.ModelProto:
    """Operators whose shapes come from attributes, from constants, and from an input's values."""
    weights = {"w": np.ones((4, 3, 3, 3), np.float32), "sizes": np.array([0, -1], np.int64)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2], dilations=[1, 1], group=1),
        helper.make_node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Transpose", ["m"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Split", ["t"], ["s0", "s1"], axis=3),
        helper.make_node("Concat", ["s1", "s0"], ["cat"], axis=-1),
        helper.make_node("Reshape", ["cat", "sizes"], ["r"]),
        helper.make_node("Expand", ["r", "target"], ["e"]),
        helper.make_node("ReduceSum", ["e"], ["y"], keepdims=0),
    ]
    inputs = [tensor_input("x", (1, 3, 9, 8)), tensor_input("target", (2,), TensorProto.INT64)]
    return build(nodes, inputs, ["y"], weights=weights)


@settings(max_examples=200, deadline=2000)
@given(st.data())
def test_absurd_sizes_never_end_in_a_traceback_or_a_long_wait(data: st.DataObject) -> None:
    model = varied_model()
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            dims = data.draw(st.sampled_from(list(model.graph.input))).type.tensor_type.shape.dim
            data.draw(st.sampled_from(list(dims))).dim_value = data.draw(SIZES)
            continue
        with_attributes = [node for node in model.graph.node if node.attribute]
        attribute = data.draw(st.sampled_from(list(data.draw(st.sampled_from(with_attributes)).attribute)))
        if attribute.type == onnx.AttributeProto.INT:
            attribute.i = data.draw(SIZES)
        elif data.draw(st.booleans()):
            attribute.ints.append(data.draw(SIZES))
        else:
            attribute.ints[data.draw(st.integers(0, len(attribute.ints) - 1))] = data.draw(SIZES)
    with contextlib.suppress(UserError):
        import_onnx(model)


def test_a_list_of_sizes_without_bound() -> None:
    nodes = [helper.make_node("Expand", ["x", "target"], ["y"])]
    inputs = [tensor_input("x", (1,)), tensor_input("target", (1 << 40,), TensorProto.INT64)]
    with pytest.raises(ModelError, match="more than 65536"):
        import_onnx(build(nodes, inputs, ["y"]))


def test_newer_ir_version() -> None:
    model = relu_model()
    model.ir_version = onnx.IR_VERSION + 1
    with pytest.raises(UnsupportedError, match="IR version"):
        import_onnx(model)


def test_newer_opset() -> None:
    model = relu_model()
    model.opset_import[0].version = onnx.defs.onnx_opset_version() + 1
    with pytest.raises(UnsupportedError, match="opset"):
        import_onnx(model)


def test_opset_zero() -> None:
    model = relu_model()
    model.opset_import[0].version = 0
    with pytest.raises(ModelError, match="opset 0"):
        import_onnx(model)


def test_no_opset_import() -> None:
    model = relu_model()
    del model.opset_import[:]
    with pytest.raises(ModelError, match=r"imports no opset"):
        import_onnx(model)


def test_initializer_with_too_little_data() -> None:
    model = conv_model()
    model.graph.initializer[0].raw_data = b"\0" * 12
    with pytest.raises(ModelError, match=r"'w'.*216 bytes.*12"):
        import_onnx(model)


def test_initializer_with_huge_dims_allocates_nothing() -> None:
    model = conv_model()
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    with pytest.raises(ModelError, match=r"too many elements|more than a tensor"):
        import_onnx(model)


@pytest.mark.parametrize("dims", [[-1, 4], [1 << 50]])
def test_initializer_with_impossible_dims(dims: list[int]) -> None:
    model = conv_model()
    model.graph.initializer[0].dims[:] = dims
    with pytest.raises(ModelError, match=r"outside 0\.\."):
        import_onnx(model)


def test_initializer_with_the_wrong_number_of_typed_elements() -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    tensor.dims[:] = [3, 3]
    model = relu_model()
    model.graph.initializer.append(tensor)
    with pytest.raises(ModelError, match="9 elements, got 4"):
        import_onnx(model)


def test_huge_input_dims() -> None:
    with pytest.raises(ModelError, match="outside"):
        import_onnx(relu_model(shape=(1 << 60, 3)))


def test_unknown_element_type() -> None:
    model = relu_model()
    model.graph.initializer.append(TensorProto(name="w", data_type=99, dims=[1], raw_data=b"\0"))
    with pytest.raises(ModelError, match="element type number 99"):
        import_onnx(model)


def test_contradictory_shapes_name_the_node() -> None:
    model = conv_model()
    model.graph.input[0].CopyFrom(tensor_input("x", (1, 4, 8, 8)))
    with pytest.raises(ModelError, match=r"conv1.*4 channels"):
        import_onnx(model)


def test_output_of_another_type_than_declared() -> None:
    model = relu_model()
    model.graph.output[0].CopyFrom(tensor_input("y", None, TensorProto.INT64))
    with pytest.raises(ModelError, match=r"output 'y'.*i64.*f32"):
        import_onnx(model)


def with_external_weight(tmp_path: Path, location: str, *, offset: int = 0, length: int = 216) -> Path:
    """A model beside ``weights.bin`` whose weight says that it lies at ``location``."""
    (tmp_path / "inside").mkdir(exist_ok=True)
    (tmp_path / "inside" / "weights.bin").write_bytes(np.arange(60, dtype="<f4").tobytes())
    model = conv_model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": str(offset), "length": str(length)}.items():
        weight.external_data.add(key=key, value=value)
    path = tmp_path / "inside" / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_is_read(tmp_path: Path) -> None:
    graph = import_onnx(with_external_weight(tmp_path, "weights.bin", offset=8))
    array = graph.value("w").array
    assert array is not None
    np.testing.assert_array_equal(array.reshape(-1), np.arange(2, 56, dtype=np.float32))


def test_external_data_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'w'.*'other\.bin'"):
        import_onnx(with_external_weight(tmp_path, "other.bin"))


def test_external_data_too_short(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"file ends at 240"):
        import_onnx(with_external_weight(tmp_path, "weights.bin", offset=100))


def test_external_data_of_another_length(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"need 216 bytes.*gives 100"):
        import_onnx(with_external_weight(tmp_path, "weights.bin", length=100))


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "a/../../outside.bin"])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "outside.bin").write_bytes(b"\0" * 4096)
    with pytest.raises(ModelError, match="outside the model's folder"):
        import_onnx(with_external_weight(tmp_path, location))


def test_external_data_behind_a_link_that_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.bin").write_bytes(b"\0" * 4096)
    path = with_external_weight(tmp_path, "link.bin")
    (path.parent / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(ModelError, match="outside the model's folder"):
        import_onnx(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_external_data_in_a_pipe_does_not_hang(tmp_path: Path) -> None:
    path = with_external_weight(tmp_path, "pipe")
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(ModelError, match="not a regular file"):
        import_onnx(path)


@pytest.mark.parametrize("offset", ["-1", "1e3", "9" * 30])
def test_external_data_with_an_impossible_offset(tmp_path: Path, offset: str) -> None:
    path = with_external_weight(tmp_path, "weights.bin")
    model = onnx.load(path, load_external_data=False)
    next(entry for entry in model.graph.initializer[0].external_data if entry.key == "offset").value = offset
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="is not a size"):
        import_onnx(path)


def test_external_data_of_a_model_without_a_folder(tmp_path: Path) -> None:
    data = with_external_weight(tmp_path, "weights.bin").read_bytes()
    with pytest.raises(ModelError, match="without a folder"):
        import_onnx(data)


def sparse_model(dims: list[int], indices: list[int]) -> onnx.ModelProto:
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [5.0, 7.0])
    positions = helper.make_tensor("w_indices", TensorProto.INT64, [2], indices)
    model = build([helper.make_node("Add", ["x", "w"], ["y"])], [tensor_input("x", (2, 3))], ["y"])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, positions, dims))
    return model


def test_sparse_initializers_become_dense() -> None:
    array = import_onnx(sparse_model([2, 3], [1, 5])).value("w").array
    assert array is not None
    assert array.tolist() == [[0, 5, 0], [0, 0, 7]]


def test_sparse_index_out_of_bounds() -> None:
    with pytest.raises(ModelError, match="outside dims"):
        import_onnx(sparse_model([2, 3], [1, 6]))


def test_sparse_tensor_of_huge_dense_size() -> None:
    with pytest.raises(ModelError, match="dense form"):
        import_onnx(sparse_model([1 << 20, 1 << 20], [1, 5]))


def test_text_tensors_are_refused() -> None:
    model = build([helper.make_node("Identity", ["x"], ["y"])], [tensor_input("x", (2,), TensorProto.STRING)], ["y"])
    with pytest.raises(UnsupportedError, match=r"input 'x'.*string"):
        import_onnx(model)
