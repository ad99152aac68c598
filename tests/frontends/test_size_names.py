"""Names of open sizes: whatever a model calls them, graphs and files with them can be read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import cnnc
from cnnc.dim_text import parse
from cnnc.dims import is_symbol_name, symbol
from cnnc.errors import ModelError
from cnnc.frontends import import_onnx
from cnnc.ir.text import print_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.ops import OPS
from cnnc.runtime import InferenceSession

NAMES = ("N", "None", "True", "lambda", "min", "batch-size", "2N", "a.b", "..", "", "größe", "if else")


def model(name: str) -> onnx.ModelProto:
    """y = relu(x), x of one open size."""
    values = [helper.make_tensor_value_info(value, TensorProto.FLOAT, [name, 3]) for value in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "sizes", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("name", NAMES)
def test_graphs_with_any_name_read_back(name: str) -> None:
    graph = import_onnx(model(name))
    text = print_graph(graph)
    assert print_graph(parse_graph(text, OPS, {})) == text
    [size, _] = graph.inputs[0].type.shape
    assert parse(str(size)) == size


@pytest.mark.jit
def test_a_saved_model_with_a_word_of_python_runs(tmp_path: Path) -> None:
    path = tmp_path / "model.cnnc"
    cnnc.compile(model("None")).save(path)
    [y] = InferenceSession(path).run(None, {"x": np.full((4, 3), -1, np.float32)})
    np.testing.assert_array_equal(y, np.zeros((4, 3), np.float32))


@pytest.mark.parametrize("name", ["None", "class", "a.None", "min", "a..b", "a.1", "1a", "", "a b"])
def test_names_that_no_text_holds_are_refused(name: str) -> None:
    assert not is_symbol_name(name)
    with pytest.raises(ModelError, match="not a name for a dimension"):
        symbol(name)
