"""Columns for ordered layers: every box near the middle of what it is joined to, and none nearer to the next than one.

A layer is placed by least squares under the constraint of its order. With the places counted from left to right taken
off, "at least one apart" becomes "not decreasing", which is isotonic regression: pools of neighbours that violate it
get their mean (Best and Chakravarti, Active Set Algorithms for Isotonic Regression, 1990).
"""

from __future__ import annotations

from collections.abc import Sequence

_SWEEPS = 12
_STRAIGHT = 8.0
"""Pull between two stops of one line in relation to that between two boxes: long lines are to be straight."""


def columns_of(
    order: Sequence[Sequence[int]], edges: Sequence[tuple[int, int]], stops: frozenset[int], start: Sequence[float]
) -> list[float]:
    """The column of each vertex; the smallest is 0.

    Args:
        order: the vertices of each layer from left to right.
        edges: pairs of vertices of neighbouring layers.
        stops: vertices that are no boxes, but places that a line passes.
        start: a first guess.
    """
    above: list[list[tuple[int, float]]] = [[] for _ in start]
    below: list[list[tuple[int, float]]] = [[] for _ in start]
    for source, target in edges:
        pull = _STRAIGHT if source in stops and target in stops else 1.0
        above[target].append((source, pull))
        below[source].append((target, pull))
    columns = list(start)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        joined = above if down else below
        for layer in order if down else reversed(order):
            wanted = [_mean(joined[vertex], columns, columns[vertex]) for vertex in layer]
            for vertex, column in zip(layer, spread(wanted), strict=True):
                columns[vertex] = column
    least = min(columns, default=0.0)
    return [round(column - least, 3) for column in columns]


def _mean(joined: Sequence[tuple[int, float]], columns: Sequence[float], otherwise: float) -> float:
    weight = sum(pull for _, pull in joined)
    return sum(pull * columns[vertex] for vertex, pull in joined) / weight if weight else otherwise


def spread(wanted: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones, by least squares, that are in order and at least one apart."""
    pools: list[tuple[float, int]] = []
    for number, place in enumerate(wanted):
        mean, count = place - number, 1
        while pools and pools[-1][0] > mean:
            before, members = pools.pop()
            mean, count = (before * members + mean * count) / (members + count), members + count
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + number for number, mean in enumerate(means)]
