"""Which rule and tiling a layer gets: the cost model's, or the fastest of those that were measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cnnc.ir import Node
from cnnc.lower.layer import layer_key
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to lower a layer: rule, tiling, and the cost model's estimate in vector multiply-adds."""

    rule: str
    tiling: Any
    cost: float

    @property
    def tiling_text(self) -> str:
        """The tiling's sizes, such as rows=2 columns=14."""
        return " ".join(f"{name}={size}" for name, size in dataclasses.asdict(self.tiling).items())

    def __str__(self) -> str:
        return f"{self.rule} {self.tiling_text}"


@dataclass(frozen=True, slots=True)
class LayerTiming:
    """What was measured of a layer.

    Attributes:
        candidates: the ways that were tried; the first is what the cost model takes.
        seconds: the median time of each.
        chosen: index of the one to take.
    """

    candidates: tuple[Candidate, ...]
    seconds: tuple[float, ...]
    chosen: int

    @property
    def best(self) -> Candidate:
        return self.candidates[self.chosen]


@dataclass(frozen=True, slots=True)
class Selection:
    """Measured layers by ``layer_key``; the cost model decides about all others, for ``machine``.

    ``pinned`` names the rule that a node gets whatever others cost, by the name of its first output: how one layer's
    kernel is exchanged to find out whether it is at fault. A rule that refuses its node leaves it without any.
    """

    layers: Mapping[str, LayerTiming] = field(default_factory=dict)
    machine: Machine = USUAL_MACHINE
    pinned: Mapping[str, str] = field(default_factory=dict)

    def timing(self, node: Node, target: Target) -> LayerTiming | None:
        """What was measured of the node's layer."""
        return self.layers.get(layer_key(node, target)) if self.layers else None


COST_MODEL = Selection()
