"""A graph as boxes and lines: what both forms of drawing show of it."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.ir.drawing.op_kinds import INPUT, OUTPUT, kind_of
from cnnc.ir.graph import Graph
from cnnc.ir.name_groups import group_of
from cnnc.ir.node import Node
from cnnc.ir.text import fields_text, type_text

LONGEST_LABEL = 30
"""Characters of a line in a box; longer ones lose their middle."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node, graph input or graph output.

    Attributes:
        title, subtitle: two lines, at most ``LONGEST_LABEL`` characters each.
        kind: see ``op_kinds``.
        tooltip: everything known of it, in lines.
        group: path of modules around it, by its name; "" for none.
    """

    title: str
    subtitle: str
    kind: str
    tooltip: str
    group: str


@dataclass(frozen=True, slots=True)
class Line:
    """One use of a tensor: from box number ``source`` to box number ``target``. ``label`` is its type, ``tooltip`` adds
    its name. A tensor that is used several times has its label on the first line only."""

    source: int
    target: int
    label: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes in topological order, and the lines between them. Constants are in the tooltips of what reads them."""

    name: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def drawing_of(graph: Graph) -> Drawing:
    """The drawing of a graph in any stage. Names may hold anything; the text forms escape them."""
    boxes: list[Box] = []
    lines: list[Line] = []
    owner: dict[str, int] = {}
    labelled: set[str] = set()

    def connect(name: str, type: str, target: int) -> None:
        label = "" if name in labelled else type
        labelled.add(name)
        lines.append(Line(owner[name], target, label, f"%{name}: {type}"))

    for value in graph.inputs:
        owner[value.name] = len(boxes)
        boxes.append(Box("input", shortened(value.name), INPUT, f"input %{value.name}: {type_text(value.type)}", ""))
    for node in graph.nodes:
        number = len(boxes)
        subtitle = shortened(node.name.partition(" (")[0])
        boxes.append(Box(shortened(node.op), subtitle, kind_of(node.op), _tooltip(node), group_of(node.name)))
        for operand in dict.fromkeys(node.inputs):
            if operand is not None and not operand.is_constant:
                connect(operand.name, type_text(operand.type), number)
        owner |= {value.name: number for value in node.outputs}
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        boxes.append(Box("output", shortened(name), OUTPUT, f"output {name} = %{value.name}", ""))
        if not value.is_constant:
            connect(value.name, type_text(value.type), len(boxes) - 1)
    return Drawing(graph.name, tuple(boxes), tuple(lines))


def shortened(text: str, most: int = LONGEST_LABEL) -> str:
    """``text`` with "..." in place of its middle where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    tail = (most - 3) * 2 // 3
    return f"{text[: most - 3 - tail]}...{text[-tail:]}"


def _tooltip(node: Node) -> str:
    lines = [f"{node.op} {node.name}"]
    if len(node.loc) > 1:
        lines.append("from " + ", ".join(node.loc))
    fields = fields_text(node.attrs)
    if fields:
        lines.append(fields)
    for value in node.inputs:
        kind = "" if value is None else "const " if value.is_constant else ""
        lines.append("in none" if value is None else f"in {kind}%{value.name}: {type_text(value.type)}")
    lines += [f"out %{value.name}: {type_text(value.type)}" for value in node.outputs]
    return "\n".join(lines)
