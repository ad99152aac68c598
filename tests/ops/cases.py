"""Op cases from ONNX's own node tests: one node, its input arrays and the expected outputs, as cnnc sees them."""

from __future__ import annotations

import dataclasses
import functools
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ops import OPS
from cnnc.types import DType

_IRREGULAR = {"PRelu": "prelu", "LRN": "lrn", "MatMul": "matmul", "MatMulInteger": "matmul_integer"}
_WHOLE_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+|[A-Z0-9]+")


@dataclass(frozen=True)
class Case:
    """``inputs`` has None where an optional input is absent; ``expected`` has one array per output of the node."""

    name: str
    op: str
    attrs: Attrs
    inputs: tuple[np.ndarray | None, ...]
    expected: tuple[np.ndarray | None, ...]
    rtol: float
    atol: float


def op_name(onnx_name: str) -> str:
    """Snake case of an ONNX operator's name."""
    if onnx_name in _IRREGULAR:
        return _IRREGULAR[onnx_name]
    spelled = onnx_name.replace("NaN", "Nan").replace("GatherND", "GatherNd").replace("ScatterND", "ScatterNd")
    return "_".join(word.lower() for word in _WHOLE_WORDS.findall(spelled)).replace("reduce_l_", "reduce_l")


def to_attrs(node: onnx.NodeProto, attrs_class: type[Attrs]) -> Attrs:
    """The node's attributes by name in the op's attribute class."""
    fields = {field.name for field in dataclasses.fields(attrs_class)}
    values: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode()
        elif isinstance(value, onnx.TensorProto):
            array = numpy_helper.to_array(value)
            values["dtype"], value = DType.of(array.dtype), array.reshape(-1)[0].item()
        elif attribute.name in ("to", "dtype"):
            value = DType.of(np.dtype(helper.tensor_dtype_to_np_dtype(value)))
        elif attribute.name in ("output_dtype", "precision"):
            # 0 stands for no choice.
            value = DType.of(np.dtype(helper.tensor_dtype_to_np_dtype(value))) if value else None
        elif isinstance(value, (list, tuple)):
            value = tuple(item.decode() if isinstance(item, bytes) else item for item in value)
        assert attribute.name in fields, f"{attrs_class.__name__} lacks {attribute.name}"
        values[attribute.name] = value
    return attrs_class(**values)


@functools.cache
def cases() -> dict[str, list[Case]]:
    """All node tests of ONNX for ops that the IR has and element types that cnnc has, by op."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = collect_testcases(None)
    found: dict[str, list[Case]] = defaultdict(list)
    for test in tests:
        for case in _convert(test):
            found[case.op].append(case)
    return found


def _convert(test: Any) -> Iterator[Case]:
    graph = test.model.graph
    newest = onnx.defs.onnx_opset_version()
    if len(graph.node) != 1 or test.name.endswith("_expanded") or test.model.opset_import[0].domain:
        return
    node = graph.node[0]
    name = op_name(node.op_type)
    if name not in OPS or node.domain:
        return
    if test.model.opset_import[0].version < onnx.defs.get_schema(node.op_type, newest).since_version:
        return
    for inputs, outputs in test.data_sets:
        arrays, expected = _arrays(inputs), _arrays(outputs)
        if arrays is None or expected is None:
            continue
        given = iter(arrays)
        try:
            attrs = to_attrs(node, OPS[name].attrs)
        except ModelError:
            continue
        operands = tuple(next(given) if operand else None for operand in node.input)
        results = iter(expected)
        wanted = tuple(next(results) if output else None for output in node.output)
        if name == "split" and len(operands) == 1 and attrs.num_outputs is None:  # type: ignore[attr-defined]
            attrs = dataclasses.replace(attrs, num_outputs=len(wanted))  # type: ignore[call-arg]
        yield Case(test.name, name, attrs, operands, wanted, test.rtol or 1e-3, test.atol or 1e-7)


def _arrays(values: Any) -> list[np.ndarray] | None:
    """The arrays, or None where one is no tensor of an element type that cnnc has."""
    arrays = []
    for value in values:
        array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
        if not isinstance(array, (np.ndarray, np.generic)):
            return None
        try:
            DType.of(array.dtype)
        except ModelError:
            return None
        arrays.append(np.asarray(array))
    return arrays
