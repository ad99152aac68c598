"""Patterns over the graph, matched from the last node upwards, and the single-use guard of every fusion.

    relu(conv(x, w))        ->  Op("relu", Op("conv", ANY, ANY, name="conv", rest=True))
    x * sigmoid(x)          ->  Op("mul", Bind("x"), Op("sigmoid", Bind("x")), commutative=True)

A match holds only if every node below the root is read by matched nodes alone and is no graph output: fusing it away
loses nothing. A miss carries its reason, which ``cnnc explain`` prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.node import Node, Value


def only_use(graph: Graph, value: Value) -> Node | None:
    """The one node that reads ``value``, or None: it is read elsewhere too, is a graph output, or is not read."""
    uses = value.uses
    if len(uses) != 1 or graph.is_output(value):
        return None
    return uses[0][0]


@dataclass(frozen=True)
class Bind:
    """Any value; a name that occurs twice must be the same value both times."""

    name: str = ""
    where: Callable[[Value], bool] | None = None


@dataclass(frozen=True)
class Const:
    """A constant (or a value whose content is a known array) that satisfies ``where``."""

    name: str = ""
    where: Callable[[Array], bool] | None = None


@dataclass(frozen=True)
class Op:
    """A node of one of ``ops`` (names joined by ``|``) whose inputs match.

    ``rest`` allows further inputs; ``commutative`` tries both orders of two inputs; ``where`` sees the attributes.
    """

    ops: str
    inputs: tuple[Pattern, ...]
    name: str
    rest: bool
    commutative: bool
    where: Callable[[Attrs], bool] | None

    def __init__(
        self,
        ops: str,
        *inputs: Pattern,
        name: str = "",
        rest: bool = False,
        commutative: bool = False,
        where: Callable[[Attrs], bool] | None = None,
    ) -> None:
        object.__setattr__(self, "ops", ops)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "rest", rest)
        object.__setattr__(self, "commutative", commutative)
        object.__setattr__(self, "where", where)


Pattern = Bind | Const | Op
ANY = Bind()


@dataclass
class Match:
    """Named values and nodes of a pattern that fits; ``nodes`` has the root first."""

    root: Node
    values: dict[str, Value] = field(default_factory=dict)
    named_nodes: dict[str, Node] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def node(self, name: str) -> Node:
        return self.named_nodes[name]

    def array(self, name: str) -> Array:
        """Content of a ``Const``."""
        array = known_array(self.values[name])
        assert array is not None
        return array

    @property
    def loc(self) -> tuple[str, ...]:
        """Origins of all matched nodes, in order, each once."""
        return tuple(dict.fromkeys(place for node in reversed(self.nodes) for place in node.loc))


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a pattern does not fit.

    Attributes:
        structural: the nodes are not those of the pattern; else they are, and something else stands in the way.
        begins: the root is a node of the pattern.
    """

    reason: str
    structural: bool = True
    begins: bool = True


def known_array(value: Value) -> Array | None:
    """The value's content as an array where it is a constant or known while types were inferred."""
    return value.fact.array


def match(graph: Graph, pattern: Op, node: Node) -> Match | Miss:
    """Match ``pattern`` with ``node`` as its root."""
    found = Match(node)
    if node.op not in pattern.ops.split("|"):
        return Miss(f"{node.op} is no {pattern.ops}", begins=False)
    if not _match_node(pattern, node, found):
        return Miss(_difference(pattern, node))
    inside = set(found.nodes)
    for matched in found.nodes[1:]:
        for value in matched.outputs:
            if graph.is_output(value):
                return Miss(f"%{value.name} between the fused nodes is a graph output", structural=False)
            outside = next((user for user in value.users if user not in inside), None)
            if outside is not None:
                reason = f"%{value.name} between the fused nodes is also read by {outside.op} {outside.name!r}"
                return Miss(reason, structural=False)
    return found


def _difference(pattern: Op, node: Node) -> str:
    """Where a node of the pattern's op differs from it, as far as one operand at a time says it."""
    if pattern.where is not None and not pattern.where(node.attrs):
        return f"the condition on the attributes of {node.op} does not hold"
    makers = {value.producer.op for value in node.inputs if value is not None and value.producer is not None}
    for wanted, value in zip(pattern.inputs, node.inputs, strict=False):
        if pattern.commutative:
            if isinstance(wanted, Op) and not makers & set(wanted.ops.split("|")):
                return f"no operand is made by {_choice(wanted)}"
        elif value is not None and not _match_value(wanted, value, Match(node)):
            return _difference_of_operand(wanted, value)
    return f"{node.op} has other operands"


def _difference_of_operand(wanted: Pattern, value: Value) -> str:
    if isinstance(wanted, Const) and known_array(value) is None:
        return f"%{value.name} is not constant"
    if not isinstance(wanted, Op):
        return f"the condition on %{value.name} does not hold"
    if value.producer is None:
        return f"%{value.name} is an input or constant, and not made by {_choice(wanted)}"
    if value.producer.op in wanted.ops.split("|"):
        return f"%{value.name} is made by {value.producer.op} in another form"
    return f"%{value.name} is made by {value.producer.op}, not by {_choice(wanted)}"


def _choice(wanted: Op) -> str:
    return wanted.ops.replace("|", " or ")


def _match_node(pattern: Op, node: Node, found: Match) -> bool:
    if node.op not in pattern.ops.split("|") or (pattern.where is not None and not pattern.where(node.attrs)):
        return False
    if len(node.inputs) < len(pattern.inputs) or (len(node.inputs) > len(pattern.inputs) and not pattern.rest):
        return False
    orders = [pattern.inputs]
    if pattern.commutative and len(pattern.inputs) == 2:
        orders.append(pattern.inputs[::-1])
    for order in orders:
        trial = Match(found.root, dict(found.values), dict(found.named_nodes), [*found.nodes, node])
        if pattern.name:
            trial.named_nodes[pattern.name] = node
        if all(_match_value(wanted, value, trial) for wanted, value in zip(order, node.inputs)):
            found.values, found.named_nodes, found.nodes = trial.values, trial.named_nodes, trial.nodes
            return True
    return False


def _match_value(pattern: Pattern, value: Value | None, found: Match) -> bool:
    if value is None:
        return False
    if isinstance(pattern, Op):
        producer = value.producer
        return producer is not None and value.index == 0 and _match_node(pattern, producer, found)
    if isinstance(pattern, Const):
        array = known_array(value)
        if array is None or (pattern.where is not None and not pattern.where(array)):
            return False
    elif pattern.where is not None and not pattern.where(value):
        return False
    if pattern.name:
        if found.values.get(pattern.name, value) is not value:
            return False
        found.values[pattern.name] = value
    return True
