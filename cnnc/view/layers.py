"""Which layers of a graph are shown: those that were named, or some that tell most."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnnc.dims import Dim
from cnnc.errors import InputError
from cnnc.ir import Graph, Node
from cnnc.lower.density import layer_weight
from cnnc.near_names import near_names

MOST_BY_DEFAULT = 12
"""Layers with weights up to which all of them are shown when none is named."""

_ENDS_OF_LAYERS = frozenset(
    """
    batch_normalization scale_shift relu leaky_relu prelu clip elu celu selu sigmoid tanh hard_sigmoid hard_swish swish
    gelu mish softplus softsign softmax log_softmax
    """.split()
)
"""Ops that are thought of as part of the layer in front of them."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A node, and whether its kernels and its activations are to be shown."""

    node: Node
    kernels: bool = True
    activations: bool = True


def chosen_layers(graph: Graph, wanted: Sequence[str]) -> tuple[Shown, ...]:
    """The layers to show, in order.

    Args:
        graph: the source model's.
        wanted: names. Each means the nodes or tensors that are called so; else those below it in the hierarchy of
            names (``conv1`` is ``/conv1/Conv``); else those that it matches as a pattern with ``*``; else those whose
            name contains it. ``all`` is all of them. Nothing: every layer with weights, and what its activation
            function gives; of a network of more than ``MOST_BY_DEFAULT`` the first, and for each size of map the last,
            of those with a window if there are any.

    Raises:
        InputError: a name means nothing.
    """
    nodes = [node for node in graph.nodes if node.op != "dims"]
    if not wanted:
        return _by_default(graph, nodes)
    found: dict[Node, None] = {}
    for name in wanted:
        found |= dict.fromkeys(nodes if name == "all" else _named(nodes, name))
    return tuple(Shown(node) for node in nodes if node in found)


def _named(nodes: Sequence[Node], wanted: str) -> list[Node]:
    path = wanted.strip("/")
    ways: tuple[Callable[[str], bool], ...] = (
        lambda name: name == wanted,
        lambda name: name.partition(" (")[0] == wanted,
        lambda name: name.strip("/").startswith((f"{path}/", f"{path}.")),
        lambda name: fnmatch.fnmatchcase(name, wanted),
        lambda name: wanted in name,
    )
    for is_meant in ways:
        found = [node for node in nodes if any(map(is_meant, _names(node)))]
        if found:
            return found
    known = [name for node in nodes for name in _names(node)]
    raise InputError(
        f"the model has no layer and no tensor called {wanted!r}",
        where="layer",
        hint=near_names(wanted, known, "cnnc inspect lists the layers"),
    )


def _names(node: Node) -> tuple[str, ...]:
    return (node.name, *(value.name for value in node.outputs))


def _by_default(graph: Graph, nodes: Sequence[Node]) -> tuple[Shown, ...]:
    layers = [node for node in nodes if layer_weight(node) is not None]
    if len(layers) > MOST_BY_DEFAULT:
        last: dict[tuple[Dim, ...], Node] = {}
        for node in layers:
            size = node.output.type.shape[2:]
            if size not in last or _has_window(node) or not _has_window(last[size]):
                last[size] = node
        layers = [node for node in layers if node is layers[0] or node in last.values()]
    ends = {_end(graph, node): node for node in layers}
    order = [node for node in nodes if node in ends or node in layers]
    return tuple(Shown(node, kernels=node in layers, activations=node in ends) for node in order)


def _has_window(node: Node) -> bool:
    stored = layer_weight(node)
    return stored is not None and any(size > 1 for size in stored.by_outputs.shape[2:])


def _end(graph: Graph, node: Node) -> Node:
    """The last node that is thought of as part of the layer."""
    while True:
        users = node.output.users
        if len(users) != 1 or graph.is_output(node.output):
            return node
        [user] = users
        if user.op not in _ENDS_OF_LAYERS or user.input(0) is not node.output:
            return node
        node = user
