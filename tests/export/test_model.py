"""What an exported model is called, returns and holds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from cnnc.dims import symbol
from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.export import export_graph
from cnnc.export.names import Names
from cnnc.frontends import import_onnx
from cnnc.ir import Graph, print_graph
from cnnc.ops import OPS
from cnnc.types import DType, TensorType
from tests.export.judged import check_results, exported
from tests.passes.sketch import Sketch


def test_values_and_nodes_keep_their_names() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 4, 4, name="image")
    hidden = sketch.op("conv", x, sketch.normal(2, 3, 3, 3, name="conv.weight"), name="conv")
    sketch.graph.set_outputs([sketch.op("relu", hidden, name="act")], ["scores"])
    graph = exported(sketch.graph).graph
    assert [(node.name, list(node.input), list(node.output)) for node in graph.node] == [
        ("conv", ["image", "conv.weight"], ["conv"]),
        ("act", ["conv"], ["scores"]),
    ]
    assert graph.name == "sketch"
    (between,) = graph.value_info
    assert between.name == "conv"
    assert [dim.dim_param or dim.dim_value for dim in between.type.tensor_type.shape.dim] == ["N", 2, 2, 2]


def test_nodes_of_one_name_are_numbered() -> None:
    sketch = Sketch()
    y = sketch.op("relu", sketch.op("neg", sketch.op("relu", sketch.input("N", 3), name="a"), name="b"), name="a")
    assert [node.name for node in exported(sketch.returns(y).graph).graph.node] == ["a", "b", "a_1"]


def test_a_node_of_several_origins_says_which() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3)
    node = sketch.graph.add_node("relu", [x], loc=("conv1", "bn1", "relu1"))
    sketch.returns(node.output)
    (written,) = exported(sketch.graph).graph.node
    assert (written.name, written.doc_string) == ("conv1", "from conv1, bn1, relu1")


def test_a_value_returned_twice_is_copied_once() -> None:
    sketch = Sketch()
    y = sketch.op("relu", sketch.input("N", 3))
    sketch.graph.set_outputs([y, y], ["first", "second"])
    assert [node.op_type for node in check_results(sketch.graph).graph.node] == ["Relu", "Identity"]


def test_inputs_and_constants_are_returned_under_any_name() -> None:
    sketch = Sketch()
    x, w = sketch.input("N", 3), sketch.normal(3)
    sketch.graph.set_outputs([x, x, w, w], ["x", "copy", "weights", "again"])
    model = check_results(sketch.graph)
    assert [list(node.output) for node in model.graph.node] == [["copy"], ["again"]]
    assert [tensor.name for tensor in model.graph.initializer] == ["weights"]


def test_an_output_name_wins_over_a_value_that_bears_it() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3)
    other = sketch.op("relu", x, name="y0")
    model = check_results(sketch.returns(sketch.op("neg", other, name="n")).graph)
    assert [list(node.output) for node in model.graph.node] == [["y0_1"], ["y0"]]


def test_an_output_called_like_another_input_is_refused() -> None:
    sketch = Sketch()
    y = sketch.op("relu", sketch.input("N", 3, name="x"))
    sketch.graph.set_outputs([y], ["x"])
    with pytest.raises(ModelError, match="both called 'x'"):
        export_graph(sketch.graph)


def test_constants_that_nobody_reads_are_left_out_and_small_ones_shared() -> None:
    sketch = Sketch()
    sketch.normal(100, name="unused")
    x = sketch.input("N", 3, 4, 4)
    for index in range(3):
        scale, shift = (sketch.const([1.5, 2, 3], name=f"{name}{index}") for name in ("scale", "shift"))
        x = sketch.op("scale_shift", x, scale, shift)
    assert [tensor.name for tensor in check_results(sketch.returns(x).graph).graph.initializer] == ["scale0_1"]


@pytest.mark.parametrize("dtype", list(DType))
def test_every_element_type(dtype: DType) -> None:
    graph = Graph(OPS, "types")
    x = graph.add_input("x", TensorType((symbol("N"), 2), dtype))
    ones = np.array([[0, 1]]).astype(dtype.numpy)
    y = graph.add_node("concat", [x, graph.add_constant(ones, "c")], OPS["concat"].attrs(axis=0)).output
    graph.set_outputs([y], ["y"])
    model = exported(graph)
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), ones)
    again = import_onnx(model)
    assert again.outputs[0].type.dtype is dtype
    assert again.constants[0].array is not None and again.constants[0].array.tobytes() == ones.tobytes()


def test_scalars_and_empty_tensors() -> None:
    sketch = Sketch()
    x = sketch.input()
    empty = sketch.op("expand", x, sketch.ints(0, 3))
    model = check_results(sketch.returns(sketch.op("add", x, sketch.const(2.0)), empty).graph)
    assert [len(output.type.tensor_type.shape.dim) for output in model.graph.output] == [0, 2]


def test_the_graph_stays_as_it_is() -> None:
    sketch = Sketch()
    y = sketch.op("scale_shift", sketch.input("N", 2, 3), sketch.normal(2), sketch.normal(2))
    text = print_graph(sketch.returns(y).graph)
    exported(sketch.graph)
    assert print_graph(sketch.graph) == text


def test_who_made_it_and_from_which_stage() -> None:
    sketch = Sketch()
    model = exported(sketch.returns(sketch.op("relu", sketch.input("N", 3))).graph)
    assert model.producer_name == "cnnc" and model.producer_version
    assert {entry.key: entry.value for entry in model.metadata_props} == {"cnnc.stage": "imported"}


def test_a_placed_graph_is_refused() -> None:
    sketch = Sketch()
    sketch.returns(sketch.op("relu", sketch.input("N", 3))).graph.stage = "placed"
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    text = str(caught.value)
    assert text.startswith("sketch: a placed graph") and "next step: export the graph before it is placed" in text


def test_a_layout_conversion_is_refused() -> None:
    sketch = Sketch()
    sketch.returns(sketch.op("convert_layout", sketch.input("N", 3, 4, 4), name="turn"))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    text = str(caught.value)
    assert text.startswith("convert_layout node 'turn'") and "lie in memory" in text and "next step" in text


def test_element_types_that_onnx_lacks_are_refused() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, dtype=DType.U16)
    sketch.returns(sketch.op("prelu", x, x, name="narrow"))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    assert "prelu node 'narrow'" in str(caught.value) and "ONNX has no PRelu of u16, u16" in str(caught.value)


@pytest.mark.parametrize("opset", [1, 17, 1000])
def test_opsets_out_of_range_are_refused(opset: int) -> None:
    sketch = Sketch()
    sketch.returns(sketch.op("relu", sketch.input("N", 3)))
    with pytest.raises(OptionError) as caught:
        export_graph(sketch.graph, opset=opset)
    assert f"opset {opset} is not between 18 and" in str(caught.value) and "leave it out" in str(caught.value)


def test_names_are_given_once() -> None:
    names = Names()
    assert [names.take(name) for name in ("a", "a", "a_1", "a", "b")] == ["a", "a_1", "a_1_1", "a_2", "b"]
    names.release("b")
    assert "b" not in names and names.take("b") == "b"
