"""Which tensors of a graph are stored as integers.

Layers that multiply are quantized, and what stands between them and can be computed on integers. Every float32 tensor
that such a node reads or writes is stored as integers, but for a result that nothing but its activation reads: the two
are one. Ops that move elements keep their input's range.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cnnc.ir import Graph, Node, Value
from cnnc.observation.layer_rows import LAYERS
from cnnc.types import DType

INTEGER_OPS = LAYERS | {"add", "mul", "concat", "average_pool", "global_average_pool"}
"""Ops that compute on integers."""

FUNCTIONS = frozenset(
    {"elu", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "mish", "sigmoid", "silu", "softplus", "tanh"}
)
"""Ops that are a table of 256 bytes: quantized between integers, so that nothing there is a float."""

MOVES = frozenset({"max_pool", "global_max_pool", "reshape", "flatten", "squeeze", "unsqueeze", "transpose", "slice"})
"""Ops whose results are some of their input's elements: stored as the input is."""

CLAMPS = frozenset({"relu", "clip"})
"""Activations that the saturation of the layer before them does."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What is quantized.

    Attributes:
        activations: values with a range of their own, in graph order.
        moved: results of moves -> the value whose range they have.
        chosen: nodes that compute on integers.
        excluded: nodes that stay in float though their op could be quantized, with the reason.
    """

    activations: tuple[Value, ...]
    moved: dict[Value, Value]
    chosen: tuple[Node, ...]
    excluded: dict[Node, str]

    @property
    def layers(self) -> tuple[Node, ...]:
        """The chosen nodes with weights."""
        return tuple(node for node in self.chosen if node.op in LAYERS)


def place(graph: Graph, exclude: tuple[str, ...] = (), in_float: Mapping[str, str] | None = None) -> Placement:
    """Decide which values are quantized.

    Args:
        exclude: names of nodes, or parts of them, that stay in float.
        in_float: further ones by the name of their result, with the reason.
    """
    excluded: dict[Node, str] = {}
    chosen: list[Node] = []
    for node in graph.nodes:
        if node.op not in INTEGER_OPS and not (node.op in FUNCTIONS and _is_between(graph, node, chosen)):
            continue
        reason = _reason_not(node, exclude) or (in_float or {}).get(node.output.name)
        if reason is None:
            chosen.append(node)
        else:
            excluded[node] = reason
    wanted: dict[Value, None] = {}
    for node in chosen:
        for operand in node.inputs[:2] if node.op in LAYERS else node.inputs:
            if operand is not None and operand.array is None:
                wanted[operand] = None
        wanted[stored_result(graph, node)] = None
    moved = _moved(graph, wanted)
    order = [*graph.inputs, *(value for node in graph.nodes for value in node.outputs)]
    activations = tuple(value for value in order if value in wanted and value not in moved)
    return Placement(activations, moved, tuple(chosen), excluded)


def stored_result(graph: Graph, node: Node) -> Value:
    """What is stored as integers of a chosen node's result: what its clamp makes of it, where that alone reads it."""
    clamp = _only_clamp(graph, node.output)
    return node.output if clamp is None else clamp.output


def _is_between(graph: Graph, function: Node, chosen: Collection[Node]) -> bool:
    """Whether a function reads the result of a quantized node, and integers may read its own.

    What a model returns is worth more than 255 steps: a function that makes it stays in float.
    """
    if graph.is_output(function.output):
        return False
    source = function.input(0).producer
    return source in chosen and any(user.op in INTEGER_OPS | MOVES for user in function.output.users)


def _reason_not(node: Node, exclude: tuple[str, ...]) -> str | None:
    """Why a node that could be quantized stays in float; None if it does not."""
    for part in exclude:
        if part in node.name or part == node.output.name:
            return f"excluded by {part!r}"
    if node.output.type.dtype is not DType.F32:
        return f"its elements are {node.output.type.dtype.value}"
    if node.op not in LAYERS:
        constants = [value.name for value in node.inputs if value is not None and value.array is not None]
        return f"its operand %{constants[0]} is constant" if constants else None
    weights = node.input(1)
    if weights.array is None:
        return f"its weights %{weights.name} are computed" if node.op != "matmul" else None
    bias = node.optional(2)
    if bias is not None and (bias.array is None or bias.type.rank != 1):
        return "its bias is no constant vector"
    attrs = node.attrs
    if node.op == "gemm" and (getattr(attrs, "alpha", 1.0) != 1 or getattr(attrs, "beta", 1.0) != 1):
        return "its product is scaled"
    return None


def _only_clamp(graph: Graph, value: Value) -> Node | None:
    """The clamp that alone reads a value."""
    users = value.users
    if len(users) != 1 or graph.is_output(value) or users[0].op not in CLAMPS:
        return None
    return users[0]


def _moved(graph: Graph, wanted: dict[Value, None]) -> dict[Value, Value]:
    """Results of moves over quantized values, which become quantized too."""
    moved: dict[Value, Value] = {}
    for node in graph.nodes:
        if node.op not in MOVES or len(node.outputs) > 1:
            continue
        source = node.input(0)
        if source in wanted:
            moved[node.output] = moved.get(source, source)
            wanted[node.output] = None
    return moved
