"""Unique names, as near to the wanted ones as can be."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.errors import ModelError
from cnnc.ir.graph import Graph
from cnnc.ir.node import Value


class Names:
    """Hands out each name once; one that is taken gets the smallest free number behind it."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._counts

    def take(self, wanted: str) -> str:
        """``wanted`` if it is free, else ``wanted_1``, ``wanted_2``, ..."""
        name, count = wanted, self._counts.get(wanted, 0)
        while name in self._counts:
            count += 1
            name = f"{wanted}_{count}"
        self._counts[wanted] = count
        self._counts.setdefault(name, 0)
        return name

    def release(self, name: str) -> None:
        """Give a name back that nothing bears after all."""
        del self._counts[name]


def name_values(graph: Graph, names: Names) -> Mapping[Value, str]:
    """A name for every value. Inputs keep theirs; what is returned bears the first name under which it is returned.

    All output names are taken afterwards: those that no value bears are left to copies.

    Raises:
        ModelError: an input and the result of a node would bear one name.
    """
    chosen = {value: names.take(value.name) for value in graph.inputs}
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        if chosen.get(value) == name:
            continue
        if name in names:
            raise ModelError(f"an input and another value are both called {name!r}", where=graph.name)
        names.take(name)
        chosen.setdefault(value, name)
    for value in graph.values:
        if value not in chosen:
            chosen[value] = names.take(value.name)
    return chosen
