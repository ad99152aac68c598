"""assign-layouts: convolutions and what stands between them work on channel-blocked tensors.

Before:

    %y: f32[N, 64, 56, 56] = conv(%x, %w)
    %z: f32[N, 64, 56, 56] = relu(%y)
    output "z" = %z

After, for 16 lanes:

    %x.c16: f32[N, 32, 56, 56]@c16 = convert_layout(%x) {layout=c16}
    %y: f32[N, 64, 56, 56]@c16 = conv(%x.c16, %w)
    %z: f32[N, 64, 56, 56]@c16 = relu(%y)
    %z.plain: f32[N, 64, 56, 56] = convert_layout(%z) {layout=plain}
    output "z" = %z.plain

Nodes are visited in order. A node that wants blocked data gets it; a node that takes any layout follows its first data
operand, or the first without pieces; a node that needs plain data gets it. A value is converted to a layout once, so
the number of conversions is the number of (value, layout) pairs that differ from how the value was made. A channel
concat of odd channel counts keeps its pieces apart, each padded to the block, and says so in its layout: consumers pack
their weights accordingly.
An upsampling whose result is only needed plain reads plain data: the smaller tensor is the one to convert.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.dims import product
from cnnc.ir import Graph, Node, Notes, Value
from cnnc.ops.blocking import BlockedForm, Form, blocked_form
from cnnc.ops.conv import GATE
from cnnc.ops.layout import ConvertLayoutAttrs
from cnnc.passes.base import Pass
from cnnc.types import PLAIN, Layout


@dataclass(frozen=True)
class AssignLayouts(Pass):
    """Give every value a layout and make conversions explicit. ``block`` is the number of float32 lanes."""

    name: ClassVar[str] = "assign-layouts"
    requires: ClassVar[str] = "optimised"
    ensures: ClassVar[str] = "placed"
    block: int = 16

    def run(self, graph: Graph, notes: Notes) -> bool:
        assignment = _Assignment(graph, notes, self.block)
        for node in list(graph.nodes):
            assignment.place(node)
        assignment.place_outputs()
        return assignment.changed


class _Assignment:
    def __init__(self, graph: Graph, notes: Notes, block: int) -> None:
        self.graph = graph
        self.notes = notes
        self.block = block
        self.changed = False
        self.converted: dict[tuple[Value, Layout], Value] = {}

    def place(self, node: Node) -> None:
        form = blocked_form(node)
        match form.form:
            case Form.PLAIN:
                self._plain(node, form)
            case Form.FOLLOW:
                self._follow(node, form)
            case Form.CHANNELWISE:
                if not node.input(0).type.layout.is_blocked:
                    self._read(node, 0, Layout(self.block))
                self._follow(node, form)
            case Form.REGROUP:
                self._regroup(node)
            case Form.CONCAT:
                self._concat(node, form)
            case Form.BLOCKED | Form.FIRST:
                self._blocked(node, form)

    def place_outputs(self) -> None:
        for value in self.graph.outputs:
            if value.type.layout.is_blocked:
                plain = self._convert(value, PLAIN, None)
                # Only the graph's outputs move: nodes keep reading the blocked value.
                outputs = [plain if output is value else output for output in self.graph.outputs]
                self.graph.set_outputs(outputs, self.graph.output_names)

    def _plain(self, node: Node, form: BlockedForm) -> None:
        for position, value in enumerate(node.inputs):
            if value is not None and value.type.layout.is_blocked:
                self.notes.refuse("assign-layouts", node, form.reason)
                self._read(node, position, PLAIN)

    def _follow(self, node: Node, form: BlockedForm) -> None:
        layouts = [node.input(position).type.layout for position in form.data]
        # Layers that follow may need channels without pieces, and none needs pieces.
        blocked = min((layout for layout in layouts if layout.is_blocked), key=_pieces, default=None)
        if blocked is None:
            # Operands of one element carry no layout of their own, but a convolution may have made them.
            return self._plain(node, BlockedForm(Form.PLAIN, (), "its data is in plain layout"))
        if node.op == "resize" and _grows(node) and self._is_needed_plain(node.output):
            return self._plain(node, BlockedForm(Form.PLAIN, (), "its result is larger, and only needed plain"))
        for position in form.data:
            self._read(node, position, blocked)
        self._set(node.output, blocked)
        return None

    def _is_needed_plain(self, value: Value) -> bool:
        """Whether every reader needs plain data, or passes it on to such."""
        if not value.users:
            return self.graph.is_output(value)
        return all(self._needs_plain(user) for user in value.users)

    def _needs_plain(self, node: Node) -> bool:
        form = blocked_form(node)
        if form.form is Form.FOLLOW and len(form.data) == 1:
            return self._is_needed_plain(node.output)
        return form.form is Form.PLAIN

    def _regroup(self, node: Node) -> None:
        if node.input(0).type.layout.is_blocked:
            for value in node.outputs:
                self._set(value, Layout(self.block))

    def _concat(self, node: Node, form: BlockedForm) -> None:
        values = [node.input(position) for position in form.data]
        if not any(value.type.layout.is_blocked for value in values):
            return None
        pieces: list[int] = []
        for position, value in enumerate(values):
            channels = value.type.shape[1]
            if not isinstance(channels, int):
                return self._plain(node, BlockedForm(Form.PLAIN, (), "a piece has an unknown channel count"))
            if not value.type.layout.is_blocked:
                self._read(node, position, Layout(self.block))
            pieces.extend(value.type.layout.pieces or (channels,))
        self._set(node.output, _simplest(self.block, tuple(pieces)))
        return None

    def _blocked(self, node: Node, form: BlockedForm) -> None:
        source = node.input(0)
        grouped = getattr(node.attrs, "group", 1) > 1
        regroup = grouped and bool(source.type.layout.pieces)
        if regroup or (not source.type.layout.is_blocked and form.form is Form.BLOCKED):
            self._read(node, 0, Layout(self.block))
        self._set(node.output, Layout(self.block))
        for position in form.data[1:]:
            is_gate = node.op == "conv" and position == GATE
            self._read(node, position, node.input(0).type.layout if is_gate else node.output.type.layout)

    def _read(self, node: Node, position: int, layout: Layout) -> None:
        value = node.input(position)
        if value.type.layout != layout:
            self.graph.set_input(node, position, self._convert(value, layout, node))

    def _set(self, value: Value, layout: Layout) -> None:
        if value.type.layout != layout:
            self.graph.set_layout(value, layout)
            self.changed = True

    def _convert(self, value: Value, layout: Layout, before: Node | None) -> Value:
        self.changed = True
        known = self.converted.get((value, layout))
        if known is not None:
            return known
        loc = value.producer.loc if value.producer is not None else (value.name,)
        name = f"{value.name}.{layout}"
        node = self.graph.add_node(
            "convert_layout", [value], ConvertLayoutAttrs(layout), names=[name], loc=loc, before=before
        )
        self.converted[value, layout] = node.output
        return node.output


def _pieces(layout: Layout) -> int:
    return len(layout.pieces)


def _grows(node: Node) -> bool:
    before, after = (product(value.type.shape[2:]) for value in (node.input(0), node.output))
    return isinstance(before, int) and isinstance(after, int) and after > before


def _simplest(block: int, pieces: tuple[int, ...]) -> Layout:
    """Pieces that end on a block boundary merge with what follows them."""
    merged: list[int] = []
    for piece in pieces:
        if merged and merged[-1] % block == 0:
            merged[-1] += piece
        else:
            merged.append(piece)
    return Layout(block, tuple(merged) if len(merged) > 1 else ())
