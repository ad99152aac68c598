"""Names, order, functions, branches: what the walk over a model must cope with."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cnnc import interp
from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, relu_model, tensor_input

X = tensor_input("x", (2, 3))
node = helper.make_node


def test_names_and_places_are_kept() -> None:
    model = build([node("Relu", ["x"], ["h"], name="act"), node("Neg", ["h"], ["y"])], [X], ["y"])
    graph = import_onnx(model)
    assert [(n.op, n.loc, n.output.name) for n in graph.nodes] == [
        ("relu", ("act",), "h"),
        ("neg", ("Neg_1",), "y"),
    ]
    assert graph.output_names == ("y",)


def test_nodes_in_any_order_are_sorted() -> None:
    model = build([node("Neg", ["h"], ["y"]), node("Relu", ["x"], ["h"])], [X], ["y"])
    assert [n.op for n in import_onnx(model).nodes] == ["relu", "neg"]


def test_sorted_nodes_keep_their_order() -> None:
    model = build([node("Relu", ["x"], ["a"]), node("Neg", ["x"], ["b"]), node("Add", ["a", "b"], ["y"])], [X], ["y"])
    assert [n.op for n in import_onnx(model).nodes] == ["relu", "neg", "add"]


def test_a_cycle_names_its_nodes() -> None:
    nodes = [
        node("Add", ["x", "c"], ["a"], name="first"),
        node("Relu", ["a"], ["b"], name="second"),
        node("Neg", ["b"], ["c"], name="third"),
    ]
    with pytest.raises(ModelError, match="cycle") as error:
        import_onnx(build(nodes, [X], ["b"]))
    assert all(name in str(error.value) for name in ("first", "second", "third"))


@pytest.mark.parametrize(
    ("model", "fragment"),
    [
        (build([node("Relu", ["nowhere"], ["y"], name="act")], [X], ["y"]), "act.*'nowhere'"),
        (build([node("Relu", ["x"], ["y"])], [X], ["z"]), "output 'z'"),
        (build([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])], [X], ["y"]), "'y' is defined twice"),
        (build([node("Relu", ["x"], ["x"])], [X], ["x"]), "'x' is defined twice"),
        (build([node("Relu", ["x"], ["y"])], [X, X], ["y"]), "'x'"),
    ],
    ids=["missing input", "missing output", "two writers", "input overwritten", "two inputs of one name"],
)
def test_names_that_do_not_add_up(model: onnx.ModelProto, fragment: str) -> None:
    with pytest.raises(ModelError, match=fragment):
        import_onnx(model)


def test_every_unsupported_place_is_reported_at_once() -> None:
    nodes = [
        node("NoSuchOp", ["x"], ["a"], name="first"),
        node("Relu", ["a"], ["b"], name="fine"),
        node("Custom", ["b"], ["c"], name="second", domain="my.domain"),
        node("StringNormalizer", ["c"], ["y"], name="third"),
    ]
    with pytest.raises(UnsupportedError, match="3 places") as error:
        import_onnx(build(nodes, [X], ["y"], domains={"my.domain": 2}))
    text = str(error.value)
    assert "NoSuchOp node 'first' (ai.onnx 17)" in text
    assert "Custom node 'second' (my.domain 2)" in text
    assert "third" in text
    assert "fine" not in text


@pytest.mark.parametrize("op", ["Mish", "GroupNormalization"])
def test_an_operator_newer_than_the_models_opset_is_refused(op: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"{op}.*opset 13 has no such operator"):
        import_onnx(build([node(op, ["x"], ["y"])], [X], ["y"], opset=13))


def test_an_attribute_that_the_operator_does_not_have() -> None:
    with pytest.raises(ModelError, match="no attribute 'slope'"):
        import_onnx(build([node("LeakyRelu", ["x"], ["y"], slope=0.5)], [X], ["y"]))


def test_an_attribute_of_the_wrong_kind() -> None:
    with pytest.raises(ModelError, match="attribute 'alpha'"):
        import_onnx(build([node("LeakyRelu", ["x"], ["y"], alpha="big")], [X], ["y"]))


def test_a_required_attribute_that_is_absent() -> None:
    with pytest.raises(ModelError, match=r"Concat_0.*'axis' is required"):
        import_onnx(build([node("Concat", ["x", "x"], ["y"])], [X], ["y"]))


def test_initializers_repeated_as_inputs_are_no_inputs() -> None:
    weights = {"w": np.ones((2, 3), np.float32)}
    model = build([node("Add", ["x", "w"], ["y"])], [X], ["y"], weights=weights, opset=8, ir_version=3)
    model.graph.input.insert(0, model.graph.input.pop())
    assert model.graph.input[0].name == "w"
    assert [value.name for value in import_onnx(model).inputs] == ["x"]


def test_weights_come_through_identity_constant_and_unsqueeze() -> None:
    nodes = [
        node("Identity", ["w"], ["w1"]),
        node("Constant", [], ["axes"], value_ints=[0]),
        node("Unsqueeze", ["w1", "axes"], ["w2"]),
        node("Add", ["x", "w2"], ["y"]),
    ]
    graph = import_onnx(build(nodes, [X], ["y"], weights={"w": np.arange(3, dtype=np.float32)}))
    content = graph.value("w2").fact.array
    assert content is not None
    assert content.tolist() == [[0, 1, 2]]


def test_half_precision_weights_keep_their_type() -> None:
    weights = {"w": np.ones(3, np.float16)}
    x = tensor_input("x", (2, 3), TensorProto.FLOAT16)
    graph = import_onnx(build([node("Mul", ["x", "w"], ["y"])], [x], ["y"], weights=weights))
    assert {value.type.dtype.value for value in graph.values} == {"f16"}


def test_bfloat16_weights_are_decoded() -> None:
    tensor = helper.make_tensor("w", TensorProto.BFLOAT16, [3], [1.0, -2.5, 0.125])
    model = build(
        [node("Cast", ["w"], ["c"], to=TensorProto.FLOAT), node("Add", ["x", "c"], ["y"])], [X], ["y"], opset=17
    )
    model.graph.initializer.append(tensor)
    array = import_onnx(model).value("c").fact.array
    assert array is not None
    assert array.tolist() == [1.0, -2.5, 0.125]


# ---- functions ------------------------------------------------------------------------------------------------------


def scaled_relu(name: str = "ScaledRelu", body: str = "Relu") -> onnx.FunctionProto:
    """y = alpha * body(x); alpha is an attribute."""
    inner = [
        node(body, ["X"], ["r"], name="inner", domain="" if body == "Relu" else "my"),
        node("Constant", [], ["a"]),
        node("Mul", ["r", "a"], ["Y"]),
    ]
    inner[1].attribute.append(
        onnx.AttributeProto(name="value_float", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT)
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    return helper.make_function("my", name, ["X"], ["Y"], inner, opsets, attributes=["alpha"])


def test_functions_are_inlined_with_their_attributes() -> None:
    call = node("ScaledRelu", ["x"], ["y"], name="call", domain="my", alpha=2.5)
    model = build([call], [X], ["y"], domains={"my": 1}, functions=[scaled_relu()])
    graph = import_onnx(model)
    assert [n.op for n in graph.nodes] == ["relu", "mul"]
    assert next(iter(graph.nodes)).loc == ("call/inner",)
    assert graph.outputs[0].name == "y"
    x = np.array([[-1, 2, 3], [4, -5, 6]], np.float32)
    np.testing.assert_array_equal(interp.run(graph, {"x": x})["y"], np.maximum(x, 0) * 2.5)


def test_two_calls_of_one_function_do_not_clash() -> None:
    calls = [
        node("ScaledRelu", ["x"], ["h"], domain="my", alpha=2.0),
        node("ScaledRelu", ["h"], ["y"], domain="my", alpha=3.0),
    ]
    graph = import_onnx(build(calls, [X], ["y"], domains={"my": 1}, functions=[scaled_relu()]))
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(interp.run(graph, {"x": x})["y"], x * 6)


def test_a_function_that_calls_itself_is_refused() -> None:
    model = build(
        [node("ScaledRelu", ["x"], ["y"], domain="my", alpha=1.0)],
        [X],
        ["y"],
        domains={"my": 1},
        functions=[scaled_relu(body="ScaledRelu")],
    )
    with pytest.raises(ModelError, match="calls itself"):
        import_onnx(model)


def test_functions_that_double_at_every_level_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnc.frontends.onnx.importer.MAX_NODES", 3000)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    functions = [helper.make_function("my", "F0", ["X"], ["Y"], [node("Relu", ["X"], ["Y"])], opsets)]
    for level in range(1, 40):
        inner = f"F{level - 1}"
        body = [node(inner, ["X"], ["h"], domain="my"), node(inner, ["h"], ["Y"], domain="my")]
        functions.append(helper.make_function("my", f"F{level}", ["X"], ["Y"], body, opsets))
    model = build([node("F39", ["x"], ["y"], domain="my")], [X], ["y"], domains={"my": 1}, functions=functions)
    with pytest.raises(ModelError, match=r"more than \d+ nodes"):
        import_onnx(model)


def test_operators_defined_by_others_are_expanded() -> None:
    """SoftmaxCrossEntropyLoss has no op of its own, but a body in the standard."""
    labels = tensor_input("t", (2,), TensorProto.INT64)
    model = build([node("SoftmaxCrossEntropyLoss", ["x", "t"], ["y"], name="loss")], [X, labels], ["y"])
    x = np.array([[1, 2, 3], [0, 1, 0]], np.float32)
    got = interp.run(import_onnx(model), {"x": x, "t": np.array([2, 0])})["y"]
    log_softmax = x - np.log(np.exp(x).sum(1, keepdims=True))
    np.testing.assert_allclose(got, -(log_softmax[0, 2] + log_softmax[1, 0]) / 2, rtol=1e-6)


# ---- branches -------------------------------------------------------------------------------------------------------


def branching(condition: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], shape: tuple[object, ...]) -> object:
    def body(op: str) -> onnx.GraphProto:
        return helper.make_graph([node(op, ["x"], ["r"], name="inner")], op, [], [onnx.ValueInfoProto(name="r")])

    choose = node("If", ["c"], ["y"], name="choose", then_branch=body("Relu"), else_branch=body("Neg"))
    return build([*condition, choose], [tensor_input("x", shape), *inputs], ["y"])  # type: ignore[arg-type]


def rank_is(wanted: int) -> list[onnx.NodeProto]:
    return [
        node("Shape", ["x"], ["s"]),
        node("Size", ["s"], ["rank"]),
        node("Constant", [], ["wanted"], value_int=wanted),
        node("Equal", ["rank", "wanted"], ["c"]),
    ]


@pytest.mark.parametrize(("wanted", "op"), [(2, "relu"), (3, "neg")])
def test_a_branch_that_is_known_is_inlined(wanted: int, op: str) -> None:
    graph = import_onnx(branching(rank_is(wanted), [], ("N", 3)))
    last = list(graph.nodes)[-1]
    assert (last.op, last.loc, last.output.name) == (op, ("choose/inner",), "y")


def test_a_branch_that_depends_on_values_is_refused() -> None:
    model = branching([], [tensor_input("c", (), TensorProto.BOOL)], (2, 3))
    with pytest.raises(UnsupportedError, match=r"If node 'choose'.*depends on values"):
        import_onnx(model)


@pytest.mark.parametrize(("value", "op"), [(True, "relu"), (False, "neg")])
def test_an_input_can_be_made_a_constant(value: bool, op: str) -> None:
    model = branching([], [tensor_input("c", (), TensorProto.BOOL)], (2, 3))
    graph = import_onnx(model, values={"c": np.array(value)})
    assert [n.op for n in graph.nodes] == [op]
    assert [v.name for v in graph.inputs] == ["x"]


def test_values_must_fit_their_inputs() -> None:
    model = branching([], [tensor_input("c", (), TensorProto.BOOL)], (2, 3))
    with pytest.raises(OptionError, match="'c'"):
        import_onnx(model, values={"c": np.array(1.0)})
    with pytest.raises(OptionError, match="nothing"):
        import_onnx(model, values={"nothing": np.array(True)})


@pytest.mark.parametrize("op", ["Loop", "Scan"])
def test_loops_are_refused_by_name(op: str) -> None:
    body = helper.make_graph([], "body", [], [])
    model = build([node(op, ["x"], ["y"], name="again", body=body)], [X], ["y"])
    with pytest.raises(UnsupportedError, match=rf"{op} node 'again'.*fixed number of steps"):
        import_onnx(model)


# ---- inputs ---------------------------------------------------------------------------------------------------------


def test_named_sizes_become_symbols_of_that_name() -> None:
    graph = import_onnx(relu_model(shape=("batch", 3, "height/2", "height/2")))
    assert str(graph.inputs[0].type) == "f32[batch, 3, height_2, height_2]"


def test_names_that_differ_stay_different() -> None:
    graph = import_onnx(relu_model(shape=("a+b", "a-b", "1", "min")))
    assert str(graph.inputs[0].type) == "f32[a_b, a_b_2, d_1, d_min]"


def test_unnamed_sizes_get_a_symbol_each() -> None:
    graph = import_onnx(relu_model(shape=(None, 3, None, -1)))
    assert str(graph.inputs[0].type) == "f32[x_0, 3, x_2, x_3]"


def test_shapes_override_the_model() -> None:
    graph = import_onnx(relu_model(shape=("N", 3, "H", "W")), shapes={"x": (2, 3, "S", "S")})
    assert str(graph.inputs[0].type) == "f32[2, 3, S, S]"


def test_a_size_fixed_for_one_input_is_fixed_for_all() -> None:
    inputs = [tensor_input("a", ("N", 3)), tensor_input("b", ("N", 3))]
    graph = import_onnx(build([node("Add", ["a", "b"], ["y"])], inputs, ["y"]), shapes={"a": (4, 3)})
    assert [str(value.type) for value in graph.inputs] == ["f32[4, 3]", "f32[4, 3]"]


@pytest.mark.parametrize(
    ("shapes", "fragment"),
    [
        ({"z": (1, 3)}, "inputs are x"),
        ({"x": (1, 3)}, "rank 2"),
        ({"x": (1, 3, -1, 4)}, "negative"),
        ({"x": (1, 3, 4, 5)}, "'H' is given twice"),
    ],
)
def test_shapes_that_do_not_fit(shapes: dict[str, tuple[int, ...]], fragment: str) -> None:
    with pytest.raises(OptionError, match=fragment):
        import_onnx(relu_model(shape=("N", 3, "H", "H")), shapes=shapes)


def test_an_input_without_rank_needs_a_shape() -> None:
    model = build([node("Relu", ["x"], ["y"])], [tensor_input("x", None)], ["y"])
    with pytest.raises(UnsupportedError, match=r"input 'x'.*rank is unknown") as error:
        import_onnx(model)
    assert "shapes=" in str(error.value)
    assert str(import_onnx(model, shapes={"x": (2, "L")}).outputs[0].type) == "f32[2, L]"


def test_inputs_that_are_no_tensors_are_refused() -> None:
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    with pytest.raises(UnsupportedError, match="sequence"):
        import_onnx(build([node("Identity", ["x"], ["y"])], [sequence], ["y"]))
