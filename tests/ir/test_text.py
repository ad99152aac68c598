"""The text form of the IR prints and parses back exactly, and refuses bad text with the line's number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import ModelError
from cnnc.ir import Attrs, Graph, to_networkx
from cnnc.ir.clone import clone_graph
from cnnc.ir.text import constant_key, print_apart, print_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.ops.opdef import OpDef, same_type
from cnnc.types import DType, Layout, Quant, TensorType


@dataclass(frozen=True, slots=True)
class _Attrs(Attrs):
    strides: tuple[int, ...] = ()
    activation: Activation = Activation()  # noqa: RUF009
    chain: tuple[Activation, ...] = ()
    dims: tuple[object, ...] = ()
    to: DType = DType.F32
    layout: Layout = Layout()  # noqa: RUF009
    axis: int | None = None
    epsilon: float = 1e-5
    mode: str = "same"
    ceil: bool = False


TABLE = {
    "add": OPS["add"],
    "mul": OPS["mul"],
    "any": OpDef("any", same_type, _Attrs, inputs=(1, None)),
    "two": OpDef("two", lambda attrs, operands: same_type(attrs, operands) * 2, inputs=(1, 1), outputs=(1, 2)),
}


def _roundtrip(graph: Graph) -> Graph:
    text, arrays = print_apart(graph)
    back = parse_graph(text, graph.table, arrays)
    assert print_graph(back) == text
    return back


def _graph(name: str = "g") -> tuple[Graph, object]:
    graph = Graph(TABLE, name)
    return graph, graph.add_input("x", TensorType((symbol("N"), 3, symbol("H") // 2 + 1, 8), DType.F32))


@pytest.mark.parametrize(
    "attrs",
    [
        _Attrs(),
        _Attrs(strides=(2, 3)),
        _Attrs(strides=(2,)),
        _Attrs(activation=Activation("clip", -0.0, float("inf"))),
        _Attrs(chain=(Activation("relu"), Activation("elu", 0.5))),
        _Attrs(dims=(symbol("N") * 4, 512, -1)),
        _Attrs(to=DType.BF16, layout=Layout(16, (24, 40)), axis=-1, epsilon=1e-12, mode='a"b\\\n\u00e9', ceil=True),
        _Attrs(epsilon=float("nan"), axis=0),
        _Attrs(epsilon=1),
    ],
)
def test_attributes_keep_value_and_kind(attrs: _Attrs) -> None:
    graph, x = _graph()
    node = graph.add_node("any", [x, None, x], attrs, loc=("/layer1/Conv", "b c"))
    graph.set_outputs([node.output], ["y"])
    back = next(iter(_roundtrip(graph).nodes))
    assert repr(back.attrs) == repr(attrs)
    assert back.loc == node.loc
    assert back.inputs[1] is None


def test_default_attributes_are_not_printed() -> None:
    graph, x = _graph()
    graph.add_node("any", [x], _Attrs(axis=3))
    assert "{axis=3}" in print_graph(graph)


@pytest.mark.parametrize("name", ["x", "1", "/a/b_out-0", "a b", 'q"', "\u00e9", "none", "a:0", "\ud800", "%", "a\nb"])
def test_names_survive(name: str) -> None:
    graph = Graph(TABLE, name)
    x = graph.add_input(name, TensorType((2,), DType.F32))
    node = graph.add_node("two", [x], outputs=2, names=[f"{name}.l", f"{name}.r"], loc=(name,))
    graph.set_outputs([node.outputs[1], x], [f"{name}!", name])
    back = _roundtrip(graph)
    assert back.output_names == (f"{name}!", name)
    assert back.name == name


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, -0.0, np.nan, np.inf, -np.inf, 1e-45, 3.4028235e38], np.float32),
        np.array([0.1, 5e-324, 1e308, -0.0], np.float64),
        np.array([0.1, 6e-8, 65504], np.float16),
        np.array([0.1, -3.0]).astype(DType.BF16.numpy),
        np.array([-(2**63), 2**63 - 1]),
        np.array([2**64 - 1], np.uint64),
        np.array([[True, False]]),
        np.zeros((0, 3), np.float32),
        np.array(7, np.int32),
        np.arange(100, dtype=np.float32),
        np.array([0x7FC00001], np.uint32).view(np.float32),
    ],
)
def test_constants_keep_every_bit(array: np.ndarray) -> None:
    graph = Graph(TABLE)
    graph.add_constant(array, "w")
    back = _roundtrip(graph).value("w").array
    assert back is not None and back.dtype == array.dtype and back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_types_layouts_quantization_and_stage() -> None:
    graph, x = _graph()
    graph.stage = "placed"
    node = graph.add_node("add", [x, x])
    graph.set_layout(node.output, Layout(16))
    quantized = TensorType((4,), DType.U8, quant=Quant((0.5, 1e-3), (0, 255), 0))
    graph.add_input("q", quantized)
    graph.set_outputs([node.output], ["y"])
    back = _roundtrip(graph)
    assert back.stage == "placed"
    assert {value.name: value.type for value in back.values} == {value.name: value.type for value in graph.values}


def test_a_type_that_the_operands_do_not_give_is_refused() -> None:
    text = 'graph "g" stage=imported {\n input %x: f32[2, 3]\n %y: f32[3, 2] = add(%x, %x)\n output "y" = %y\n}'
    with pytest.raises(ModelError, match=r"(?s)line 3.*f32\[3, 2\].*f32\[2, 3\]"):
        parse_graph(text, TABLE)


HEAD = 'graph "g" stage=imported {'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("graph", "line 1"),
        ('graph "g" stage=cooked {', "line 1"),
        (f"{HEAD}", "line 1"),
        (f"{HEAD}\n}}\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2\n}}", "line 2"),
        (f"{HEAD}\n input %x: f33[2]\n}}", "line 2"),
        (f"{HEAD}\n input %x: f32[-2]\n}}", "line 2"),
        (f"{HEAD}\n input %x: f32[N**2]\n}}", "line 2"),
        (f"{HEAD}\n input %x: f32[__import__('os')]\n}}", "line 2"),
        (f"{HEAD}\n input %x: f32[{'(' * 3000}N{')' * 3000}]\n}}", "line 2"),
        (f"{HEAD}\n input %x: f32[{'1,' * 100}]\n}}", "line 2"),
        (f"{HEAD}\n input %x: f32[{'9' * 5000}]\n}}", "line 2"),
        (f'{HEAD}\n input %"": f32[2]\n}}', "line 2"),
        (f"{HEAD}\n input %x: f32[2]\n input %x: f32[2]\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]@c16\n}}", "line 2"),
        (f"{HEAD}\n const %w: f32[2] = sha256:0123456789abcdef\n}}", "line 2"),
        (f"{HEAD}\n const %w: f32[N] = [1.0]\n}}", "line 2"),
        (f"{HEAD}\n const %w: f32[2] = [1.0]\n}}", "line 2"),
        (f"{HEAD}\n const %w: u8[1] = [300]\n}}", "line 2"),
        (f"{HEAD}\n const %w: f32[1000000000, 1000000000] = [1.0]\n}}", "line 2"),
        (f"{HEAD}\n %y: f32[2] = add(%x, %x)\n}}", "line 2"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2] = nosuch(%x)\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2] = add(%x)\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2] = add(%x, none)\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2] = any(%x) {{nosuch=1}}\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2] = any(%x) {{axis=1, axis=1}}\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2] = any(%x) {{axis={'(' * 99}\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2] = any(%x) {{axis=Graph()}}\n}}", "line 3"),
        (f'{HEAD}\n input %x: f32[2]\n %y: f32[2] = any(%x) {{activation=Activation(kind="no")}}\n}}', "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %y: f32[2], %y: f32[2] = two(%x)\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2]\n %a: f32[2], %b: f32[2], %c: f32[2] = two(%x)\n}}", "line 3"),
        (f"{HEAD}\n input %x: f32[2] x\n}}", "line 2"),
        (f'{HEAD}\n output "y" = %y\n}}', "line 2"),
        (f'{HEAD}\n input %x: f32[2]\n output "y" = %x\n output "y" = %x\n}}', "line 5"),
    ],
)
def test_bad_text_is_refused_with_its_line(text: str, line: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_graph(text, TABLE)
    assert line in str(caught.value)


def test_an_array_of_another_shape_is_refused() -> None:
    array = np.zeros(100, np.float32)
    text = f"{HEAD}\n const %w: f32[99] = sha256:{constant_key(array)}\n}}"
    with pytest.raises(ModelError, match="line 2"):
        parse_graph(text, TABLE, {constant_key(array): array})


def test_a_clone_is_equal_and_independent() -> None:
    graph, x = _graph()
    node = graph.add_node("add", [x, graph.add_constant(np.ones((3, 1, 1), np.float32), "c")], loc=("n",))
    graph.set_outputs([node.output], ["y"])
    copy = clone_graph(graph)
    assert print_graph(copy) == print_graph(graph)
    copy.add_node("mul", [copy.value("x"), copy.value("x")])
    assert len(graph) == 1


def test_the_networkx_graph_has_every_use_as_an_edge() -> None:
    graph, x = _graph()
    node = graph.add_node("add", [x, x], names=["y"])
    graph.set_outputs([node.output], ["out"])
    drawn = to_networkx(graph)
    assert sorted(edge[:2] for edge in drawn.edges) == [("%x", "%y"), ("%x", "%y"), ("%y", "output out")]
    assert drawn.nodes["%y"]["op"] == "add"
