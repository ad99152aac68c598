"""A graph without some of its channels: constants are sliced, and what states sizes is corrected.

Names, order, inputs and outputs stay. Channels keep their order in every tensor.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.channels.couplings import Labels
from cnnc.channels.dependencies import Dependencies
from cnnc.channels.rules_layers import goes_by_groups
from cnnc.channels.size_operands import stated_sizes
from cnnc.errors import InternalError
from cnnc.ir import Array, Graph, Node, Value
from cnnc.ir.attrs import Attrs
from cnnc.ops.slicing import SplitAttrs


def shrink(found: Dependencies, removed: NDArray[np.int64]) -> Graph:
    """The graph without the channels of the classes ``removed``, which must be free to go.

    Its results are those of the original graph with these channels set to 0 wherever an op of ``found.readings`` reads
    them: wherever channels are mixed. In between an element-wise op, a bias or a normalization may give a channel of
    zeros other values; they are gone with it.

    Raises:
        InternalError: a class must stay, or a tensor would lose all of its channels.
    """
    return _Shrinking(found, removed).graph()


class _Shrinking:
    def __init__(self, found: Dependencies, removed: NDArray[np.int64]) -> None:
        if found.couplings.pinned(removed).any():
            raise InternalError("channels that must stay are to be removed")
        self._found = found
        self._gone = found.members(removed)
        self._copy = Graph(found.graph.table, found.graph.name)
        self._copy.stage = found.graph.stage
        self._copies: dict[Value, Value] = {}
        self._corrected: list[tuple[Value, str]] = []

    def graph(self) -> Graph:
        source = self._found.graph
        for value in source.inputs:
            self._copies[value] = self._copy.add_input(value.name, value.type)
        for value in source.constants:
            assert value.array is not None
            copy = self._copy.add_constant(self._sliced(value), value.name)
            copy.type = copy.type.with_layout(value.type.layout)
            self._copies[value] = copy
        for node in source.nodes:
            self._add(node)
        outputs = [self._copies[value] for value in source.outputs]
        self._copy.set_outputs(outputs, source.output_names)
        self._copy.remove_unused_constants()
        for constant, name in self._corrected:
            if not self._copy.has_value(name):
                self._copy.rename(constant, name)
        return self._copy

    def _kept(self, labels: Labels) -> NDArray[np.int64]:
        """Indices along an axis that stay."""
        return np.flatnonzero(~self._gone[labels])

    def _sliced(self, value: Value) -> Array:
        array = value.array
        assert array is not None
        for axis, labels in enumerate(self._found.axes(value)):
            if labels is not None and self._gone[labels].any():
                array = np.take(array, self._kept(labels), axis)
        return array

    def _add(self, node: Node) -> None:
        operands = [None if value is None else self._copies[value] for value in node.inputs]
        corrections = stated_sizes(node, operands, self._found.axes, self._kept)
        for position, wanted in corrections.items():
            operands[len(operands) :] = [None] * (position + 1 - len(operands))
            operands[position] = self._state(node, position, wanted)
        names = [value.name for value in node.outputs]
        attrs = self._attributes(node, bool(corrections))
        made = self._copy.add_node(node.op, operands, attrs, outputs=len(names), names=names, loc=node.loc)
        for value, copy in zip(node.outputs, made.outputs, strict=True):
            self._check(node, value, copy)
            copy.type = copy.type.with_layout(value.type.layout)
            self._copies[value] = copy

    def _state(self, node: Node, position: int, wanted: Array | Attrs) -> Value:
        """An operand of sizes or indices anew: a constant, or expressions over the graph's input sizes."""
        old = node.optional(position)
        name = f"{node.output.name if old is None else old.name}_kept"
        if isinstance(wanted, Attrs):
            return self._copy.add_node("dims", (), wanted, names=[name], loc=node.loc).output
        constant = self._copy.add_constant(wanted, name)
        if old is not None and old.is_constant:
            self._corrected.append((constant, old.name))
        return constant

    def _attributes(self, node: Node, corrected: bool) -> Attrs:
        attrs: Any = node.attrs
        if node.op == "split" and corrected:
            return SplitAttrs(attrs.axis)
        groups = self._groups(node)
        if groups is None:
            return node.attrs
        field = "num_groups" if node.op == "group_normalization" else "group"
        changed: Attrs = dataclasses.replace(attrs, **{field: groups})
        return changed

    def _groups(self, node: Node) -> int | None:
        """How many groups are left of a grouped op that loses some as a whole."""
        attrs: Any = node.attrs
        grouped = node.op in ("conv", "conv_transpose") and attrs.group > 1 and goes_by_groups(node)
        if not grouped and node.op != "group_normalization":
            return None
        labels = self._found.axes(node.input(0))[1]
        if labels is None:
            return None
        groups: int = attrs.group if grouped else attrs.num_groups
        return groups * len(self._kept(labels)) // len(labels)

    def _check(self, node: Node, value: Value, copy: Value) -> None:
        """The inferred shape must be what the labels say."""
        axes = self._found.axes(value)
        for axis, (labels, before, after) in enumerate(zip(axes, value.type.shape, copy.type.shape, strict=True)):
            wanted = before if labels is None else len(self._kept(labels))
            if wanted != after or (wanted == 0 and before != 0):
                place = f"axis {axis} of %{value.name}, which {node.op} {node.name!r} makes"
                raise InternalError(f"without the removed channels {place}, has size {after} and not {wanted}")
