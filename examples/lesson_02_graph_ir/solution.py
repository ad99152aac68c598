"""Exercise 2, solved."""

from __future__ import annotations

from cnnc.errors import UserError
from cnnc.ir import Graph, Node, Value

MENDED = """\
graph "blur" stage=imported {
  input %image: f32[N, 3, 9, 9]
  const %filter: f32[3, 1, 3, 3] = [0.0, 0.125, 0.0, 0.125, 0.5, 0.125, 0.0, 0.125, 0.0, 0.0, 0.125, 0.0, 0.125, 0.5, 0.125, 0.0, 0.125, 0.0, 0.0, 0.125, 0.0, 0.125, 0.5, 0.125, 0.0, 0.125, 0.0]
  %blurred: f32[N, 3, 9, 9] = conv(%image, %filter) {pads=(1, 1, 1, 1), group=3} @"blur"
  %half: f32[N, 3, 5, 5] = average_pool(%blurred) {kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)}
  output "half" = %half
}
"""  # noqa: E501


def first_broken_node(graph: Graph) -> str | None:
    """The name of the first node that breaks a rule."""
    known = {*graph.inputs, *graph.constants}
    for node in graph.nodes:
        if not _is_sound(graph, node, known):
            return node.name
        known.update(node.outputs)
    return None


def _is_sound(graph: Graph, node: Node, known: set[Value]) -> bool:
    for position, value in enumerate(node.inputs):
        if value is not None and (value not in known or (node, position) not in value.uses):
            return False
    try:
        types = graph.infer(node.op, node.attrs, node.inputs, outputs=len(node.outputs), name=node.output.name)
    except UserError:
        return False
    pairs = zip(node.outputs, types, strict=True)
    return all((value.type.shape, value.type.dtype) == (type.shape, type.dtype) for value, type in pairs)


def drop_repeated_relu(graph: Graph) -> int:
    """A ReLU of a ReLU's result goes; returns how many went."""
    gone = 0
    for node in graph.nodes:
        first = node.input(0).producer if node.op == "relu" else None
        if first is not None and first.op == "relu":
            graph.replace_uses(node.output, first.output)
            graph.remove_node(node)
            gone += 1
    return gone
