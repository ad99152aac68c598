"""Runs one op: by its OpDef (inferred types checked against the arrays), by onnxruntime, and on ONNX's node tests."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cnnc.dims import evaluate, symbol
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops import OPS
from cnnc.types import DType, TensorType


def make_attrs(name: str, values: dict[str, Any]) -> Attrs:
    """Attributes of op ``name``, lists as tuples."""
    fixed = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return OPS[name].attrs(**fixed)


def run_op(name: str, inputs: list[Any], outputs: int = 1, **values: Any) -> list[np.ndarray]:
    """The reference's results, after a check that the inferred types describe them, static and symbolic alike."""
    attrs = make_attrs(name, values)
    op = OPS[name]
    facts = [None if a is None else Fact(TensorType(a.shape, DType.of(a.dtype)), array=a) for a in inputs]
    types = op.infer_types(attrs, Operands(facts, node="n", outputs=outputs))
    results = [np.asarray(array) for array in op.reference(attrs, inputs)[:outputs]]
    assert len(results) == outputs
    for type, array in zip(types, results, strict=True):
        assert type.dtype is DType.of(array.dtype), (name, type, array.dtype)
        if not op.data_dependent or type.is_static:
            assert type.shape == array.shape, (name, type, array.shape)
    _check_symbolic(name, attrs, inputs, results)
    return results


def _check_symbolic(name: str, attrs: Attrs, inputs: list[Any], results: list[np.ndarray]) -> None:
    """Infer with every axis of the first input but the channels a symbol, then put the sizes in."""
    first = inputs[0]
    sizes = {f"S{axis}": size for axis, size in enumerate(first.shape)}
    shape = tuple(size if axis == 1 else symbol(f"S{axis}") for axis, size in enumerate(first.shape))
    facts = [Fact(TensorType(shape, DType.of(first.dtype)))]
    facts += [None if a is None else Fact(TensorType(a.shape, DType.of(a.dtype)), array=a) for a in inputs[1:]]
    types = OPS[name].infer_types(attrs, Operands(facts, node="n", outputs=len(results)))
    for type, array in zip(types, results, strict=True):
        try:
            found = tuple(evaluate(dim, sizes) for dim in type.shape)
        except KeyError:
            assert OPS[name].data_dependent, (name, type)
            assert type.rank == array.ndim, (name, type, array.shape)
            continue
        assert found == array.shape, (name, type, array.shape)


def run_ort(
    op_type: str, inputs: list[Any], outputs: int = 1, opset: int = 22, domain: str = "", **attrs: Any
) -> list[np.ndarray]:
    """The same node in onnxruntime."""
    import onnxruntime

    names = ["" if array is None else f"x{i}" for i, array in enumerate(inputs)]
    node = helper.make_node(op_type, names, [f"y{i}" for i in range(outputs)], domain=domain, **attrs)
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, inputs)
        if array is not None
    ]
    ends = [helper.make_tensor_value_info(f"y{i}", TensorProto.UNDEFINED, None) for i in range(outputs)]
    for end in ends:
        end.ClearField("type")
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(helper.make_graph([node], "g", values, ends), opset_imports=imports, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {name: array for name, array in zip(names, inputs) if array is not None}
    return session.run(None, feeds)


@functools.cache
def node_cases(module: str, op_type: str) -> dict[str, Any]:
    """ONNX's one-node tests of ``op_type`` by name; ``module`` is where onnx.backend.test.case.node defines them."""
    from onnx.backend.test.case import node

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        importlib.import_module(f"{node.__name__}.{module}")
    newest = onnx.defs.get_schema(op_type).since_version
    return {
        case.name: case
        for case in node._NodeTestCases
        if len(case.model.graph.node) == 1
        and case.model.graph.node[0].op_type == op_type
        and all(_has_dtype(value) for value in (*case.model.graph.input, *case.model.graph.output))
        and _version(op_type, case.model.opset_import[0].version) == newest
    }


def _has_dtype(value: onnx.ValueInfoProto) -> bool:
    """Whether cnnc has the element type: int4, float8 and their kind are refused at import."""
    try:
        DType.of(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    except ModelError:
        return False
    return True


def _version(op_type: str, opset: int) -> int:
    return onnx.defs.get_schema(op_type, opset).since_version


def run_node_case(case: Any, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(result of our op, expected) for each output of an ONNX node test of one node."""
    node, graph = case.model.graph.node[0], case.model.graph
    feeds = {value.name: _array(item) for value, item in zip(graph.input, case.data_sets[0][0], strict=True)}
    expected = {value.name: _array(item) for value, item in zip(graph.output, case.data_sets[0][1], strict=True)}
    attrs = {a.name: _attribute(a) for a in node.attribute}
    known = {field.name for field in dataclasses.fields(OPS[name].attrs)}
    assert set(attrs) <= known, set(attrs) - known
    inputs = [feeds[i] if i else None for i in node.input]
    last = max(i for i, output in enumerate(node.output) if output)
    results = run_op(name, inputs, last + 1, **attrs)
    return [(result, expected[output]) for result, output in zip(results, node.output) if output]


def _array(item: Any) -> np.ndarray:
    return numpy_helper.to_array(item) if isinstance(item, TensorProto) else np.asarray(item)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if attribute.name in ("output_dtype", "precision"):
        return DType.of(helper.tensor_dtype_to_np_dtype(value)) if value else None
    if isinstance(value, bytes):
        return value.decode()
    if attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return tuple(value)
    if attribute.type == onnx.AttributeProto.STRINGS:
        return tuple(item.decode() for item in value)
    return value


def infer_error(name: str, shapes: list[tuple[int, ...] | None], dtype: str = "f32", **values: Any) -> str:
    """The message of the ModelError that inference raises for operands of these shapes."""
    import pytest

    facts = [None if shape is None else Fact(TensorType(shape, DType(dtype))) for shape in shapes]
    with pytest.raises(ModelError) as caught:
        OPS[name].infer_types(make_attrs(name, values), Operands(facts, node="n"))
    return str(caught.value)
