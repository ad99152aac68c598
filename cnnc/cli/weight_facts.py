"""The zeros in the weights of a model's layers, and what leaving them out of a file saves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnc.ir import Graph
from cnnc.lower.density import DENSE, WeightDensity, layer_weight, weight_density
from cnnc.runtime.aligned_memory import bytes_of
from cnnc.runtime.zero_words import least_form


@dataclass(frozen=True, slots=True)
class LayerZeros:
    """The weight of one layer.

    Attributes:
        layer, weight: names.
        shape: as it is stored.
        zeros: how many there are, and in which pattern.
        bytes: of the weight.
        compressed_bytes: without its zeros, as a .cnnc file may store it.
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    zeros: WeightDensity
    bytes: int
    compressed_bytes: int


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """The constant weights of all convolutions and matrix products; each counts once."""

    layers: tuple[LayerZeros, ...]

    @property
    def elements(self) -> int:
        return sum(layer.zeros.elements for layer in self.layers)

    @property
    def non_zeros(self) -> int:
        return sum(layer.zeros.non_zeros for layer in self.layers)

    @property
    def density(self) -> float:
        """Share of non-zeros, 0 to 1; 1 where there are no weights."""
        return self.non_zeros / self.elements if self.elements else 1.0

    @property
    def bytes(self) -> int:
        return sum(layer.bytes for layer in self.layers)

    @property
    def compressed_bytes(self) -> int:
        return sum(layer.compressed_bytes for layer in self.layers)

    @property
    def pruned(self) -> tuple[LayerZeros, ...]:
        """Layers whose zeros are more than chance."""
        return tuple(layer for layer in self.layers if layer.zeros.pattern != DENSE)


def weight_facts(graph: Graph) -> WeightFacts:
    """The facts of a graph in any stage; a weight that several layers read counts for the first one."""
    found: dict[str, LayerZeros] = {}
    for node in graph.nodes:
        weight = layer_weight(node)
        if weight is None or weight.value.name in found:
            continue
        array = weight.value.array
        assert array is not None
        zeros = weight_density(weight.by_outputs, weight.groups, weight.zero)
        _, stored = least_form(bytes_of(np.ascontiguousarray(array)))
        found[weight.value.name] = LayerZeros(node.name, weight.value.name, array.shape, zeros, array.nbytes, stored)
    return WeightFacts(tuple(found.values()))
