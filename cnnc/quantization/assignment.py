"""Which layers compute on integers: the choice of the least time, with a price on noise.

Each layer costs its time in the precision that it gets, and each tensor between layers of different precision costs its
conversion. The cheapest choice is a minimum cut: layers are nodes between a source (integers) and a sink (float), and
what a choice costs are the capacities of the edges that it cuts. It is found exactly, however the layers are connected.

Source: Stone, Multiprocessor Scheduling with the Aid of Network Flow Algorithms, IEEE Transactions on Software
Engineering 3(1), 1977, section 3 (modules, two processors, communication between them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnnc.quantization.layer_times import LayerTimes
from cnnc.quantization.neighbours import FLOAT, Link

PICOSECONDS = 1e12
"""Capacities are whole numbers, so that cuts are exact."""

_SOURCE, _SINK = "source", "sink"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a choice of layers costs.

    Attributes:
        times: seconds of layers and conversions.
        links: the tensors between layers.
        noise: noise to signal of the model's results where one layer alone is quantized; powers add.
    """

    times: LayerTimes
    links: tuple[Link, ...]
    noise: Mapping[str, float]

    def cheapest(self, price: float) -> frozenset[str]:
        """The layers that stay in float in the cheapest choice; where two cost the same, more on integers.

        Args:
            price: seconds that noise as strong as the signal is worth. A higher price never brings a layer back to
                integers.
        """
        import networkx

        network = networkx.DiGraph()
        for layer, seconds in self.times.floats.items():
            noisy = self.times.integers[layer] + price * self.noise.get(layer, 0.0)
            network.add_edge(_SOURCE, _layer(layer), capacity=_whole(seconds))
            network.add_edge(_layer(layer), _SINK, capacity=_whole(noisy))
        for link in self.links:
            _add_link(network, link, _whole(self.times.conversions[link.value]))
        _, (_, in_float) = networkx.minimum_cut(network, _SOURCE, _SINK)
        return frozenset(layer for layer in self.times.floats if _layer(layer) in in_float)

    def seconds(self, in_float: frozenset[str]) -> float:
        """The estimated time of a choice: its layers and conversions."""
        total = sum(
            (self.times.floats if layer in in_float else self.times.integers)[layer] for layer in self.times.floats
        )
        floats = in_float | {FLOAT}
        for link in self.links:
            if len({name in floats for name in (link.producer, *link.consumers)}) > 1:
                total += self.times.conversions[link.value]
        return total


def _add_link(network: Any, link: Link, capacity: int) -> None:
    """A tensor is converted once, however many consumers of the other kind it has: they share a node each way.

    An edge without a capacity cannot be cut.
    """
    producer = _layer(link.producer)
    to_float, to_integers = ("to float", link.value), ("to integers", link.value)
    network.add_edge(producer, to_float, capacity=capacity)
    network.add_edge(to_integers, producer, capacity=capacity)
    for consumer in link.consumers:
        network.add_edge(to_float, _layer(consumer))
        network.add_edge(_layer(consumer), to_integers)


def _layer(name: str) -> Any:
    return _SINK if name == FLOAT else ("layer", name)


def _whole(seconds: float) -> int:
    return max(0, round(seconds * PICOSECONDS))
