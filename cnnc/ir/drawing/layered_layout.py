"""Where boxes lie: in layers, after Sugiyama, Tagawa and Toda (Methods for Visual Understanding of Hierarchical System
Structures, 1981). igraph finds an order of each layer in which few lines cross; ``columns`` places them.

Every line goes down. One that spans several layers passes through an invisible box in each, so that it is led around
the boxes of other nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cnnc.errors import OptionError
from cnnc.ir.drawing.boxes import Drawing
from cnnc.ir.drawing.columns import columns_of


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in columns and layers.

    Attributes:
        places: (column, layer) of each box; columns are at least one apart, and no whole numbers.
        routes: of each line, the (column, layer) of every layer that it passes, both ends included.
    """

    places: tuple[tuple[float, int], ...]
    routes: tuple[tuple[tuple[float, int], ...], ...]


def layered(drawing: Drawing) -> Layout:
    """The layout of a drawing, the same for the same drawing and version of igraph.

    Raises:
        OptionError: igraph is not installed.
    """
    try:
        import igraph
    except ImportError as error:
        what = "the layout of drawings is igraph's, which is not installed"
        raise OptionError(what, where="draw", hint="pip install 'cnnc[draw]', or write a .dot file") from error
    layers = _layers(drawing)
    edges: list[tuple[int, int]] = []
    passed: list[list[int]] = []
    for line in drawing.lines:
        stops = [line.source]
        for layer in range(layers[line.source] + 1, layers[line.target]):
            stops.append(len(layers))
            layers.append(layer)
        stops.append(line.target)
        edges += pairwise(stops)
        passed.append(stops)
    made = igraph.Graph(len(layers), edges, directed=True).layout_sugiyama(layers=layers, hgap=1, vgap=1)
    guess = [float(place[0]) for place in made.coords[: len(layers)]]
    order: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for vertex in sorted(range(len(layers)), key=lambda vertex: (guess[vertex], vertex)):
        order[layers[vertex]].append(vertex)
    columns = columns_of(order, edges, frozenset(range(len(drawing.boxes), len(layers))), guess)
    places = list(zip(columns, layers, strict=True))
    routes = tuple(tuple(places[stop] for stop in stops) for stops in passed)
    return Layout(tuple(places[: len(drawing.boxes)]), routes)


def _layers(drawing: Drawing) -> list[int]:
    """Each box below all that it reads; one that reads nothing just above its first reader."""
    count = len(drawing.boxes)
    layers = [0] * count
    readers: list[list[int]] = [[] for _ in range(count)]
    sources = set(range(count))
    for line in sorted(drawing.lines, key=lambda line: line.target):
        layers[line.target] = max(layers[line.target], layers[line.source] + 1)
        readers[line.source].append(line.target)
        sources.discard(line.target)
    for number in sources:
        layers[number] = min((layers[reader] for reader in readers[number]), default=1) - 1
    return _without_gaps(layers)


def _without_gaps(layers: Sequence[int]) -> list[int]:
    """The same order of layers, counted from 0."""
    used = {layer: place for place, layer in enumerate(sorted(set(layers)))}
    return [used[layer] for layer in layers]
