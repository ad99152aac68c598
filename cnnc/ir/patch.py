"""``Patch``: one rewrite that is applied whole or not at all, and never changes the type of what it replaces.

New nodes are described first; nothing touches the graph until ``apply``. The new value takes over the name of the one
that it replaces, so captured tensors and messages keep their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.errors import InternalError, VerifyError
from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.node import Node, Value
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class _NewNode:
    op: str
    inputs: tuple[Value | None, ...]
    attrs: Attrs
    outputs: tuple[Value, ...]
    loc: tuple[str, ...]


class Patch:
    """New nodes to stand before ``anchor``, and the values that they replace.

    Args:
        graph: the graph to change.
        anchor: every operand of the new nodes must be computed before this node.
    """

    def __init__(self, graph: Graph, anchor: Node) -> None:
        self._graph = graph
        self._anchor = anchor
        self._nodes: list[_NewNode] = []
        self._constants: list[Value] = []
        self._replacements: list[tuple[Value, Value]] = []
        self._applied = False

    def constant(self, array: Array, name: str = "const") -> Value:
        """A new constant."""
        array = np.asarray(array)
        value = Value(name, TensorType(array.shape, DType.of(array.dtype)))
        value.array = array
        self._constants.append(value)
        return value

    def node(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Attrs = NO_ATTRS,
        *,
        loc: tuple[str, ...] = (),
        outputs: int = 1,
        name: str = "",
    ) -> Value:
        """A new node; returns its first output (``node_outputs`` returns all)."""
        return self.node_outputs(op, inputs, attrs, loc=loc, outputs=outputs, name=name)[0]

    def node_outputs(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Attrs = NO_ATTRS,
        *,
        loc: tuple[str, ...] = (),
        outputs: int = 1,
        name: str = "",
    ) -> tuple[Value, ...]:
        """A new node; types are inferred now, so a contradiction is raised before anything changes."""
        hint = name or (loc[0] if loc else op)
        facts = [None if value is None else value.fact for value in inputs]
        types = self._graph.infer(op, attrs, inputs, outputs=outputs, name=hint, loc=loc)
        made = tuple(Value(f"{hint}.{index}" if index else hint, type) for index, type in enumerate(types))
        for value, content in zip(made, self._graph.table[op].evaluate(attrs, facts, types)):
            value.content = content
        self._nodes.append(_NewNode(op, tuple(inputs), attrs, made, loc))
        return made

    def replace(self, old: Value, new: Value) -> None:
        """Everything that reads ``old`` is to read ``new``.

        Raises:
            VerifyError: shape or dtype would change.
        """
        if (old.type.shape, old.type.dtype) != (new.type.shape, new.type.dtype):
            raise VerifyError(f"a patch at {self._anchor!r} would change {old!r} into {new.type}")
        self._replacements.append((old, new))

    @property
    def origins(self) -> tuple[str, ...]:
        """Where in the model the new nodes came from, each place once."""
        return tuple(dict.fromkeys(name for node in self._nodes for name in node.loc))

    def apply(self) -> None:
        """Do it: insert the nodes, move the uses, remove what nothing reads any more."""
        if self._applied:
            raise InternalError("a patch is applied once")
        self._applied = True
        real: dict[Value, Value] = {}
        for constant in self._constants:
            assert constant.array is not None
            real[constant] = self._graph.add_constant(constant.array, constant.name)
        for new in self._nodes:
            inputs = [None if value is None else real.get(value, value) for value in new.inputs]
            node = self._graph.add_node(
                new.op,
                inputs,
                new.attrs,
                outputs=len(new.outputs),
                names=[value.name for value in new.outputs],
                loc=new.loc,
                before=self._anchor,
            )
            for provisional, value in zip(new.outputs, node.outputs):
                value.type = value.type.with_layout(provisional.type.layout)
                real[provisional] = value
        fresh = set(real.values())
        dead: list[Node] = []
        for old, replacement in self._replacements:
            value = real.get(replacement, replacement)
            self._graph.replace_uses(old, value)
            if old.producer is not None:
                dead.append(old.producer)
        self._graph.remove_dead(dead)
        for old, replacement in self._replacements:
            value = real.get(replacement, replacement)
            if value in fresh and not value.is_constant and not self._graph.has_value(old.name):
                self._graph.rename(value, old.name)
        for constant in self._constants:
            value = real[constant]
            if not value.uses and not self._graph.is_output(value):
                self._graph.remove_unused_constants()
                break
