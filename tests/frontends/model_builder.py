"""Small ONNX models for the tests, and onnxruntime as their judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cnnc import interp
from cnnc.frontends import import_onnx

Shape = Sequence[int | str | None]
_IR_OF_OPSET = {9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}


def tensor_input(name: str, shape: Shape | None, code: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """Declaration of a tensor; a None size is open and unnamed, a None shape has no rank."""
    return helper.make_tensor_value_info(name, code, shape)


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    *,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    opset: int = 17,
    domains: Mapping[str, int] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    ir_version: int | None = None,
) -> onnx.ModelProto:
    """A model; outputs are declared by name only."""
    initializers = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(
        list(nodes), "test", list(inputs), [onnx.ValueInfoProto(name=name) for name in outputs], initializers
    )
    if ir_version == 3:
        graph.input.extend(
            tensor_input(name, array.shape, helper.np_dtype_to_tensor_dtype(array.dtype))
            for name, array in (weights or {}).items()
        )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(*entry) for entry in (domains or {}).items())]
    model = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    model.ir_version = ir_version or (3 if opset < 9 else _IR_OF_OPSET.get(opset, 10))
    return model


def relu_model(*, shape: Shape = (1, 3, 4, 4), opset: int = 17) -> onnx.ModelProto:
    """One Relu."""
    return build([helper.make_node("Relu", ["x"], ["y"], name="act")], [tensor_input("x", shape)], ["y"], opset=opset)


def run_cnnc(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Results of the reference interpreter."""
    return interp.run(import_onnx(model), feeds)


def run_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Results of onnxruntime with its graph optimisations disabled."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds))))


def typed_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the types of its outputs filled in, which onnxruntime wants and cnnc does not need."""
    for output, value in zip(model.graph.output, import_onnx(model).outputs):
        code = helper.np_dtype_to_tensor_dtype(value.type.dtype.numpy)
        shape = [dim if isinstance(dim, int) else None for dim in value.type.shape]
        output.CopyFrom(tensor_input(output.name, shape, code))
    return model


def compare(model: onnx.ModelProto, feeds: Mapping[str, Any], *, steps: float = 0.0) -> None:
    """cnnc's interpreter and onnxruntime agree: floats to rounding, integers within ``steps``."""
    got = run_cnnc(model, feeds)
    expected = run_onnxruntime(typed_outputs(model), feeds)
    assert got.keys() == expected.keys()
    for name, want in expected.items():
        assert got[name].dtype == want.dtype, name
        assert got[name].shape == want.shape, name
        if want.dtype.kind == "f":
            np.testing.assert_allclose(got[name], want, rtol=2e-5, atol=2e-5, err_msg=name)
        else:
            difference = np.abs(got[name].astype(np.int64) - want.astype(np.int64))
            assert difference.max(initial=0) <= steps, name
