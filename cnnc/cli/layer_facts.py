"""What a model is made of, node by node: shapes, parameters, multiply-accumulates, memory, receptive field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnnc.cli.receptive_field import receptive_fields
from cnnc.dims import Dim, evaluate, product, symbols
from cnnc.explanation.open_sizes import open_sizes
from cnnc.ir import Graph, Node, Value
from cnnc.ops import OPS


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One node. Numbers are for the sizes that were chosen; None where a size depends on values.

    Attributes:
        outputs: type of each output, such as f32[N, 64, 56, 56].
        parameters: elements of its floating-point or quantised constants.
        macs: multiply-accumulates.
        bytes: of its outputs.
        field: receptive field in input pixels.
    """

    name: str
    op: str
    outputs: tuple[str, ...]
    parameters: int
    macs: int | None
    bytes: int | None
    field: str


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """All nodes, and totals.

    Attributes:
        sizes: what was taken for open sizes.
        parameters, parameter_bytes: each constant once.
        activation_bytes: all node outputs together.
        peak_bytes: most bytes alive at once if nodes run in order and nothing is fused or done in place.
    """

    layers: tuple[LayerFacts, ...]
    sizes: Mapping[str, int]
    parameters: int
    parameter_bytes: int
    macs: int
    activation_bytes: int
    peak_bytes: int


def model_facts(graph: Graph) -> ModelFacts:
    """The facts of a graph in any stage."""
    sizes = open_sizes(graph)
    fields = receptive_fields(graph)
    layers = tuple(
        LayerFacts(
            node.name,
            node.op,
            tuple(str(value.type) for value in node.outputs),
            sum(map(_elements, dict.fromkeys(value for value in node.inputs if value is not None))),
            _sized(_macs(node), sizes),
            _sum(_sized(_byte_size(value), sizes) for value in node.outputs),
            str(fields.get(node.output, "")),
        )
        for node in graph.nodes
    )
    used = [value for value in graph.constants if value.uses]
    return ModelFacts(
        layers,
        sizes,
        sum(map(_elements, used)),
        sum(value.array.nbytes for value in used if value.array is not None),
        sum(layer.macs or 0 for layer in layers),
        sum(layer.bytes or 0 for layer in layers),
        _peak_bytes(graph, sizes),
    )


def _macs(node: Node) -> Dim:
    cost = OPS[node.op].macs
    if cost is None:
        return 0
    inputs = [None if value is None else value.type for value in node.inputs]
    return cost(node.attrs, inputs, [value.type for value in node.outputs])


def _elements(value: Value) -> int:
    """Elements of a constant that holds parameters; shapes and indices are none."""
    array = value.array
    return array.size if array is not None and array.dtype.name not in ("int64", "bool") else 0


def _byte_size(value: Value) -> Dim:
    return product(value.type.shape) * value.type.dtype.size


def _sized(dim: Dim, sizes: Mapping[str, int]) -> int | None:
    return evaluate(dim, sizes) if symbols(dim) <= sizes.keys() else None


def _sum(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _peak_bytes(graph: Graph, sizes: Mapping[str, int]) -> int:
    last_use: dict[Value, int] = {}
    nodes = list(graph.nodes)
    for index, node in enumerate(nodes):
        last_use |= {value: index for value in node.inputs if value is not None and not value.is_constant}
    last_use |= dict.fromkeys(graph.outputs, len(nodes))
    freed: dict[int, list[Value]] = {}
    for value, index in last_use.items():
        freed.setdefault(index, []).append(value)

    def size(value: Value) -> int:
        return _sized(_byte_size(value), sizes) or 0

    alive = peak = sum(size(value) for value in graph.inputs)
    for index, node in enumerate(nodes):
        kept = [value for value in node.outputs if value in last_use]
        alive += sum(map(size, kept))
        peak = max(peak, alive)
        alive -= sum(map(size, freed.get(index, ())))
    return peak
