"""Values and nodes: the two things that a graph is made of. Both have identity; the facts they carry are frozen.

Their underscored fields belong to ``cnnc.ir.graph``, which alone changes uses, inputs and order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnc.errors import InternalError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Array, Content, Fact
from cnnc.types import TensorType

if TYPE_CHECKING:
    from cnnc.ir.graph import Graph


class Value:
    """A tensor in the graph. ``array`` is set for constants, ``content`` where it is known anyway."""

    __slots__ = ("_uses", "array", "content", "index", "name", "producer", "type")

    def __init__(self, name: str, type: TensorType, producer: Node | None = None, index: int = 0) -> None:
        self.name = name
        self.type = type
        self.producer = producer
        self.index = index
        self.array: Array | None = None
        self.content: Array | Content | None = None
        self._uses: dict[tuple[Node, int], None] = {}

    @property
    def is_constant(self) -> bool:
        return self.array is not None

    @property
    def uses(self) -> tuple[tuple[Node, int], ...]:
        """(node, input position) of every use by a node, in the order in which they were made."""
        return tuple(self._uses)

    @property
    def users(self) -> tuple[Node, ...]:
        """Nodes that use this value, each once."""
        return tuple(dict.fromkeys(node for node, _ in self._uses))

    @property
    def fact(self) -> Fact:
        """Type and known content, as type inference sees it."""
        if self.array is not None:
            return Fact(self.type, array=self.array)
        if isinstance(self.content, Content):
            return Fact(self.type, content=self.content)
        return Fact(self.type, array=self.content)

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


class Node:
    """One operation. ``loc`` names where in the model it came from; a fused node keeps all of its origins."""

    __slots__ = ("_graph", "_inputs", "_next", "_order", "_prev", "attrs", "loc", "op", "outputs")

    def __init__(self, op: str, attrs: Attrs, loc: tuple[str, ...]) -> None:
        self.op = op
        self.attrs = attrs
        self.loc = loc
        self.outputs: tuple[Value, ...] = ()
        self._inputs: tuple[Value | None, ...] = ()
        self._graph: Graph | None = None
        self._prev: Node | None = None
        self._next: Node | None = None
        self._order = 0

    @property
    def inputs(self) -> tuple[Value | None, ...]:
        return self._inputs

    @property
    def output(self) -> Value:
        """The first output."""
        return self.outputs[0]

    def input(self, index: int) -> Value:
        """Input ``index``, which must be present."""
        value = self._inputs[index] if index < len(self._inputs) else None
        if value is None:
            raise InternalError(f"{self.op} {self.name!r} has no input {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """Input ``index``, or None where it is absent."""
        return self._inputs[index] if index < len(self._inputs) else None

    @property
    def name(self) -> str:
        return self.loc[0] if self.loc else (self.outputs[0].name if self.outputs else self.op)

    @property
    def is_alive(self) -> bool:
        """Whether the node is still in its graph."""
        return self._graph is not None

    def __repr__(self) -> str:
        inputs = ", ".join("none" if value is None else f"%{value.name}" for value in self._inputs)
        return f"{', '.join(map(repr, self.outputs))} = {self.op}({inputs})"
