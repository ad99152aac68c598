"""The graph: values, nodes and their order. SSA, topological at all times, with use lists.

All edits go through ``Graph`` methods or a ``Patch``, so that use lists and order always hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from cnnc.errors import InternalError, ModelError, UserError
from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ir.display import DisplayedGraph
from cnnc.ir.fact import Array, Operands
from cnnc.ir.node import Node, Value
from cnnc.ir.table import OpTable
from cnnc.types import DType, Layout, TensorType

_ORDER_GAP = 1 << 20


class Graph(DisplayedGraph):
    """Nodes in topological order over inputs and constants, with named outputs."""

    def __init__(self, table: OpTable, name: str = "graph") -> None:
        self.table = table
        self.name = name
        self.stage = "imported"
        self.inputs: list[Value] = []
        self._outputs: list[Value] = []
        self._output_names: list[str] = []
        self._values: dict[str, Value] = {}
        self._first: Node | None = None
        self._last: Node | None = None
        self._count = 0
        self._name_counts: dict[str, int] = {}

    # ---- reading ----------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> Iterator[Node]:
        """Nodes in topological order. Nodes may be removed and inserted while iterating."""
        node = self._first
        while node is not None:
            following = node._next
            yield node
            # A node removed while it was being visited keeps its old successor; one still in place shows its new one.
            node = node._next if node.is_alive else following
            while node is not None and not node.is_alive:
                node = node._next

    def __len__(self) -> int:
        return self._count

    @property
    def outputs(self) -> tuple[Value, ...]:
        return tuple(self._outputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names under which results are returned; a value may be returned under several."""
        return tuple(self._output_names)

    @property
    def constants(self) -> tuple[Value, ...]:
        """Constant values, in the order in which they were made."""
        return tuple(value for value in self._values.values() if value.array is not None)

    @property
    def values(self) -> tuple[Value, ...]:
        """All values."""
        return tuple(self._values.values())

    def value(self, name: str) -> Value:
        """The value of that name.

        Raises:
            KeyError: there is none.
        """
        return self._values[name]

    def has_value(self, name: str) -> bool:
        return name in self._values

    def is_output(self, value: Value) -> bool:
        return any(output is value for output in self._outputs)

    def precedes(self, a: Node, b: Node) -> bool:
        """Whether ``a`` stands before ``b``."""
        return a._order < b._order

    # ---- building ---------------------------------------------------------------------------------------------------

    def fresh_name(self, hint: str) -> str:
        """``hint`` if it is free, else hint with the smallest free number behind it."""
        if hint and hint not in self._values:
            return hint
        count = self._name_counts.get(hint, 0)
        while True:
            count += 1
            name = f"{hint}_{count}" if hint else f"v{count}"
            if name not in self._values:
                self._name_counts[hint] = count
                return name

    def add_input(self, name: str, type: TensorType) -> Value:
        """A new graph input.

        Raises:
            ModelError: the name is taken.
        """
        if name in self._values:
            raise ModelError(f"two values are called {name!r}", where=self.name)
        value = Value(name, type)
        self.inputs.append(value)
        self._values[name] = value
        return value

    def add_constant(self, array: Array, name: str = "const") -> Value:
        """A new constant; the array must not be changed afterwards."""
        array = np.asarray(array)
        value = Value(self.fresh_name(name), TensorType(array.shape, DType.of(array.dtype)))
        array.flags.writeable = False
        value.array = array
        self._values[value.name] = value
        return value

    def add_node(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Attrs = NO_ATTRS,
        *,
        outputs: int = 1,
        names: Sequence[str] = (),
        loc: tuple[str, ...] = (),
        before: Node | None = None,
    ) -> Node:
        """A new node, its output types inferred, at the end or before another node.

        Raises:
            ModelError: the operands contradict the op's rules; the message names the node.
        """
        inputs = tuple(inputs)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        hint = names[0] if names and names[0] else (loc[0] if loc else op)
        value_names = self._output_names_for(hint, names, outputs)
        types = self.infer(op, attrs, inputs, outputs=outputs, name=value_names[0], loc=loc)
        node = Node(op, attrs, loc)
        node._inputs = inputs
        made = []
        for index, value_type in enumerate(types):
            value = Value(value_names[index], value_type, node, index)
            self._values[value.name] = value
            made.append(value)
        node.outputs = tuple(made)
        facts = [None if value is None else value.fact for value in inputs]
        for value, content in zip(made, self.table[op].evaluate(attrs, facts, types)):
            value.content = content
        for position, operand in enumerate(inputs):
            if operand is not None:
                operand._uses[node, position] = None
        self._link(node, before)
        return node

    def infer(
        self,
        op: str,
        attrs: Attrs,
        inputs: Sequence[Value | None],
        *,
        outputs: int = 1,
        name: str = "",
        loc: tuple[str, ...] = (),
    ) -> tuple[TensorType, ...]:
        """Output types that a node would have; ``name`` is its first output's name.

        Raises:
            ModelError: the operands contradict the op's rules; the message names the node.
        """
        facts = [None if value is None else value.fact for value in inputs]
        place = f"{op} node {(loc[0] if loc else name)!r}"
        try:
            # Sizes that only values decide are named after the origin, so a rewritten node gives them the same names.
            origin = f"{loc[0]}_{op}" if loc else name
            types = self.table[op].infer_types(attrs, Operands(facts, node=origin, outputs=outputs))
        except UserError as error:
            if error.where:
                raise
            raise type(error)(error.what, where=place, hint=error.hint) from error
        if len(types) < outputs:
            raise ModelError(f"it has {len(types)} outputs, not {outputs}", where=place)
        return types[:outputs]

    def _output_names_for(self, hint: str, names: Sequence[str], outputs: int) -> list[str]:
        chosen: list[str] = []
        for index in range(outputs):
            wanted = names[index] if index < len(names) and names[index] else (f"{hint}.{index}" if index else hint)
            name = self.fresh_name(wanted)
            while name in chosen:
                name = self.fresh_name(f"{wanted}.{index}")
            chosen.append(name)
        return chosen

    def set_constant(self, value: Value, array: Array) -> None:
        """Give a constant other elements, which must not be changed afterwards.

        What is known of values that follow from it is found anew.

        Raises:
            InternalError: ``value`` is no constant, or its type would change.
        """
        array = np.asarray(array)
        if value.array is None or (value.array.shape, value.array.dtype) != (array.shape, array.dtype):
            raise InternalError(f"{value!r} cannot become {array.dtype.name}{list(array.shape)}")
        array.flags.writeable = False
        value.array = array
        pending = list(value.users)
        while pending:
            node = pending.pop(0)
            if all(result.content is None for result in node.outputs):
                continue
            facts = [None if operand is None else operand.fact for operand in node.inputs]
            types = tuple(result.type for result in node.outputs)
            for result, content in zip(node.outputs, self.table[node.op].evaluate(node.attrs, facts, types)):
                result.content = content
                pending += result.users

    def set_layout(self, value: Value, layout: Layout) -> None:
        """Say where the elements of ``value`` lie in memory; its logical type stays."""
        value.type = value.type.with_layout(layout)

    def set_outputs(self, values: Sequence[Value], names: Sequence[str]) -> None:
        """What the graph returns, and under which names."""
        if len(values) != len(names) or len(set(names)) != len(names):
            raise ModelError("graph outputs need one distinct name each", where=self.name)
        self._outputs = list(values)
        self._output_names = list(names)

    # ---- editing ----------------------------------------------------------------------------------------------------

    def set_input(self, node: Node, position: int, value: Value | None) -> None:
        """Make ``node`` read another value, which must already stand before it."""
        if value is not None and value.producer is not None and not self.precedes(value.producer, node):
            raise InternalError(f"%{value.name} is not computed before {node!r}")
        old = node._inputs[position]
        if old is value:
            return
        if old is not None:
            del old._uses[node, position]
        node._inputs = (*node._inputs[:position], value, *node._inputs[position + 1 :])
        if value is not None:
            value._uses[node, position] = None

    def replace_uses(self, old: Value, new: Value) -> None:
        """Every user of ``old``, and the graph outputs, read ``new`` instead. Types may not change but in layout."""
        if (old.type.shape, old.type.dtype) != (new.type.shape, new.type.dtype):
            raise InternalError(f"replacing {old!r} by {new!r} would change its type")
        for node, position in old.uses:
            if node is not new.producer:
                self.set_input(node, position, new)
        self._outputs = [new if output is old else output for output in self._outputs]

    def remove_node(self, node: Node) -> None:
        """Take out a node whose outputs nobody uses.

        Raises:
            InternalError: an output is still used, or is a graph output.
        """
        for value in node.outputs:
            if value._uses or self.is_output(value):
                raise InternalError(f"{node!r} cannot go: %{value.name} is still used")
        for position, operand in enumerate(node._inputs):
            if operand is not None:
                operand._uses.pop((node, position), None)
        for value in node.outputs:
            del self._values[value.name]
        self._unlink(node)

    def remove_dead(self, candidates: Iterable[Node]) -> int:
        """Remove nodes of ``candidates``, and what only they used, as far as nothing reads them; returns how many."""
        pending = list(candidates)
        removed = 0
        while pending:
            node = pending.pop()
            if not node.is_alive or any(value._uses or self.is_output(value) for value in node.outputs):
                continue
            operands = [value for value in node._inputs if value is not None]
            self.remove_node(node)
            removed += 1
            for value in operands:
                if value.producer is not None:
                    pending.append(value.producer)
                elif value.is_constant and not value._uses and not self.is_output(value):
                    self._values.pop(value.name, None)
        return removed

    def remove_unused_constants(self) -> int:
        """Drop constants that nobody reads. Returns how many."""
        dead = [v.name for v in self._values.values() if v.is_constant and not v._uses and not self.is_output(v)]
        for name in dead:
            del self._values[name]
        return len(dead)

    def rename(self, value: Value, name: str) -> None:
        """Give a value another free name."""
        if name == value.name:
            return
        if name in self._values:
            raise InternalError(f"the name {name!r} is taken")
        del self._values[value.name]
        value.name = name
        self._values[name] = value

    def become(self, other: Graph) -> None:
        """Take over everything of ``other``, which is empty afterwards: how a snapshot is restored in place."""
        own = list(self.nodes)
        taken = list(other.nodes)
        empty = Graph(other.table, other.name)
        self.__dict__, other.__dict__ = other.__dict__, empty.__dict__
        for node in own:
            node._graph = None
        for node in taken:
            node._graph = self

    # ---- order ------------------------------------------------------------------------------------------------------

    def _link(self, node: Node, before: Node | None) -> None:
        for value in node._inputs:
            if value is None or value.producer is None:
                continue
            if before is not None and not self.precedes(value.producer, before):
                raise InternalError(f"%{value.name} is not computed before {before!r}")
        node._graph = self
        self._count += 1
        previous = self._last if before is None else before._prev
        node._prev, node._next = previous, before
        if previous is None:
            self._first = node
        else:
            previous._next = node
        if before is None:
            self._last = node
        else:
            before._prev = node
        low = previous._order if previous is not None else 0
        if before is None:
            node._order = low + _ORDER_GAP
        elif before._order - low > 1:
            node._order = (low + before._order) // 2
        else:
            self._renumber()

    def _renumber(self) -> None:
        node, order = self._first, 0
        while node is not None:
            order += _ORDER_GAP
            node._order = order
            node = node._next

    def _unlink(self, node: Node) -> None:
        previous, following = node._prev, node._next
        if previous is None:
            self._first = following
        else:
            previous._next = following
        if following is None:
            self._last = previous
        else:
            following._prev = previous
        node._graph = None
        self._count -= 1
