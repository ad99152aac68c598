"""Sizes that are taken for what a model leaves open, where facts need numbers."""

from __future__ import annotations

from cnnc.dims import symbols
from cnnc.ir import Graph

BATCH_SIZE = 1
"""Size that is taken for an open axis 0."""

OTHER_SIZE = 224
"""Size that is taken for any other open axis."""


def open_sizes(graph: Graph) -> dict[str, int]:
    """What is taken for the symbols of the input shapes."""
    sizes: dict[str, int] = {}
    for value in graph.inputs:
        for axis, dim in enumerate(value.type.shape):
            for name in sorted(symbols(dim)):
                sizes.setdefault(name, BATCH_SIZE if axis == 0 else OTHER_SIZE)
    return sizes
