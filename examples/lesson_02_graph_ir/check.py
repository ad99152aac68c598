"""What is asked of exercise 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from cnnc import frontends, interp
from cnnc.errors import CnncError
from cnnc.ir import Graph, Node, parse_graph, verify
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

MODELS = Path(__file__).resolve().parent.parent / "models"
SOUND = """\
graph "sound" stage=imported {
  input %x: f32[N, 4]
  const %w: f32[4] = [1.0, 2.0, 3.0, 4.0]
  const %six: f32[] = [6.0]
  %a: f32[N, 4] = relu(%x)
  %b: f32[N, 4] = mul(%a, %w)
  %c: f32[N, 4] = sigmoid(%b)
  %d: f32[N, 4] = add(%b, %c)
  %e: f32[N, 4] = clip(%d, none, %six)
  output "e" = %e
}
"""
"""What part 2 breaks."""
RELUS = """\
graph "relus" stage=imported {
  input %x: f32[N, 4]
  %a: f32[N, 4] = relu(%x)
  %b: f32[N, 4] = relu(%a)
  %c: f32[N, 4] = relu(%b)
  %d: f32[N, 4] = sub(%b, %x)
  %e: f32[N, 4] = relu(%d)
  %f: f32[N, 4] = relu(%e)
  output "second" = %b
  output "third" = %c
  output "last" = %f
}
"""


def check_mended(student: ModuleType) -> None:
    """Part 1: a broken text is mended"""
    try:
        graph = parse_graph(student.MENDED, OPS)
    except CnncError as error:
        raise AssertionError(f"the text is still refused: {error}") from error
    ops = [node.op for node in graph.nodes]
    assert ops == ["conv", "average_pool"], f"it should be a convolution with an average pool behind it, not {ops}"
    result = graph.outputs[0].type
    assert result.shape[1:] == (3, 5, 5), f"the result is {result}, not f32[N, 3, 5, 5]"
    image = np.random.default_rng(0).standard_normal((2, 3, 9, 9), np.float32)
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    beside = padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:] + padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1]
    blurred = image / 2 + beside / 8
    got = interp.run(graph, {"image": image})["half"]
    # The window of result (1, 1) covers rows and columns 1 to 3 and no border.
    assert np.allclose(got[:, :, 1, 1], blurred[:, :, 1:4, 1:4].mean((2, 3)), atol=1e-5), (
        "the result is not the average of the blurred image: are the nine numbers the same for every channel, in order?"
    )


def check_verifier(student: ModuleType) -> None:
    """Part 2: a verifier of three rules"""
    for name in ("lenet5_fashion", "resnet14_fashion-bn"):
        found = student.first_broken_node(frontends.import_onnx(MODELS / f"{name}.onnx"))
        assert found is None, f"{name} breaks no rule, but {found!r} is said to"
    assert student.first_broken_node(parse_graph(SOUND, OPS)) is None, f"nothing is wrong with this graph:\n{SOUND}"
    for what, culprit, damage in DAMAGES:
        graph = parse_graph(SOUND, OPS)
        damage(graph)
        try:
            found = student.first_broken_node(graph)
        except CnncError as error:
            raise AssertionError(f"node {culprit!r} {what}: return its name; this error was raised: {error}") from error
        assert found == culprit, f"node {culprit!r} {what}, but the answer was {found!r}; the graph was\n{SOUND}"


def check_edit(student: ModuleType) -> None:
    """Part 3: repeated ReLUs go"""
    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    graph = parse_graph(RELUS, OPS)
    before = interp.run(graph, {"x": x})
    count = student.drop_repeated_relu(graph)
    verify(graph)
    ops = [node.op for node in graph.nodes]
    assert ops == ["relu", "sub", "relu"], (
        f"relu, sub and relu should be left of\n{RELUS}but there are {', '.join(ops)}"
    )
    assert count == 3, f"three nodes went, {count} were counted"
    names = ("second", "third", "last")
    assert graph.output_names == names, f"the outputs were called {names}, now {graph.output_names}"
    after = interp.run(graph, {"x": x})
    wrong = [name for name in names if not np.array_equal(before[name], after[name])]
    assert not wrong, f"the outputs {wrong} have other numbers than before"
    assert student.drop_repeated_relu(graph) == 0, "a second run found something to do"
    other = parse_graph(SOUND, OPS)
    size = len(other)
    assert student.drop_repeated_relu(other) == 0, "there is no repeated ReLU in a graph with a single one"
    assert len(other) == size, "a graph without repeated ReLUs was changed"


def _node(graph: Graph, name: str) -> Node:
    producer = graph.value(name).producer
    assert producer is not None
    return producer


def _operand_from_later(graph: Graph) -> None:
    node, later = _node(graph, "b"), graph.value("d")
    del graph.value("a")._uses[node, 0]
    node._inputs = (later, *node._inputs[1:])
    later._uses[node, 0] = None


def _operand_from_elsewhere(graph: Graph) -> None:
    node, foreign = _node(graph, "c"), parse_graph(SOUND, OPS).value("b")
    del graph.value("b")._uses[node, 0]
    node._inputs = (foreign,)
    foreign._uses[node, 0] = None


def _use_forgotten(graph: Graph) -> None:
    del graph.value("c")._uses[_node(graph, "d"), 1]


def _shape_overwritten(graph: Graph) -> None:
    graph.value("c").type = TensorType((3, 4), DType.F32)


def _dtype_overwritten(graph: Graph) -> None:
    graph.value("e").type = TensorType(graph.value("e").type.shape, DType.F64)


def _operands_contradict(graph: Graph) -> None:
    graph.value("w").type = TensorType((3,), DType.F32)


DAMAGES: tuple[tuple[str, str, Callable[[Graph], None]], ...] = (
    ("reads what is computed after it (rule 1)", "b", _operand_from_later),
    ("reads a value of another graph (rule 1)", "c", _operand_from_elsewhere),
    ("is missing in the use list of its second operand (rule 2)", "d", _use_forgotten),
    ("is stored with another shape than its op gives (rule 3)", "c", _shape_overwritten),
    ("is stored with another element type than its op gives (rule 3)", "e", _dtype_overwritten),
    ("multiplies [N, 4] by [3], which its op refuses (rule 3)", "b", _operands_contradict),
)
"""What is wrong, with which node, and how it is brought about behind the graph's back."""
PARTS = (check_mended, check_verifier, check_edit)
