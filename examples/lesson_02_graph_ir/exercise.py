"""Exercise 2: mend a graph, write a verifier, edit a graph.

Replace what is wrong or missing, then: python examples/course.py check 2
"""

from __future__ import annotations

from cnnc.ir import Graph

MENDED = """\
graph "blur" stage=imported {
  input %image: f32[N, 3, 9, 9]
  const %filter: f32[3, 1, 3, 3] = [0.0, 0.125, 0.0, 0.125, 0.5, 0.125, 0.0, 0.125, 0.0]
  %blurred: f32[N, 3, 9, 9] = conv(%image, %filter) {pads=(1, 1, 1, 1), groups=3} @"blur"
  %half: f32[N, 3, 4, 4] = average_pool(%blured) {kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)}
  output "half" = %half
}
"""
"""What this graph should compute: every channel of the image [N, 3, 9, 9] is convolved with the same 3x3 filter, whose
nine numbers stand above; then averages over 3x3 windows at every second pixel give f32[N, 3, 5, 5].

It has four mistakes: let ``parse_graph`` tell you of one after the other.
"""


def first_broken_node(graph: Graph) -> str | None:
    """A verifier: ``node.name`` of the first node, in order, that breaks a rule; None if there is none.

    1. Every operand is an input of the graph, a constant, or a result of a node before this one.
    2. Every operand lists this use: ``(node, position)`` is among ``value.uses``.
    3. Every result has the type that the op gives for these operands: ``graph.infer`` says which, and raises a
       ``cnnc.errors.UserError`` if the op does not take them at all. Compare shape and dtype.

    Operands that are left out are None. Do not call ``cnnc.ir.verify``.
    """
    raise NotImplementedError("exercise: check three rules of every node")


def drop_repeated_relu(graph: Graph) -> int:
    """relu(relu(x)) is relu(x): a ReLU of a ReLU's result goes, and who read it reads the first. Returns how many went.

    The graph's outputs keep their names and numbers, and the graph verifies afterwards.
    """
    raise NotImplementedError("exercise: edit the graph with replace_uses and remove_node, or with a Patch")
