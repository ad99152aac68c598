"""How many bytes a model's constants take, by what they are for.

Weights on integers take a quarter of what they took. Biases keep 32 bits, and scales come on top: a small network whose
biases are much of it saves less than 75 % in all.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.ir import Graph, Value
from cnnc.observation.layer_rows import LAYERS

_PAIRS = ("quantize_linear", "dequantize_linear")


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes of a graph's constants.

    Attributes:
        weights: of layers; ``integer_weights`` of them are bytes.
        biases: of layers.
        scales: scales and zero points.
        other: everything else.
    """

    weights: int
    integer_weights: int
    biases: int
    scales: int
    other: int

    @property
    def total(self) -> int:
        """All constants."""
        return self.weights + self.biases + self.scales + self.other


def storage_of(graph: Graph) -> Storage:
    """Bytes of a graph, float or quantized. A constant counts once, for the first that reads it."""
    sizes = dict.fromkeys(("weights", "integer_weights", "biases", "scales", "other"), 0)
    for value in graph.constants:
        if value.array is None:
            continue
        role = _role(value)
        sizes[role] += value.array.nbytes
        if role == "weights" and value.array.itemsize == 1:
            sizes["integer_weights"] += value.array.nbytes
    return Storage(**sizes)


def _role(value: Value) -> str:
    """What a constant is for, looking through its dequantize_linear."""
    for node, position in value.uses:
        if node.op in _PAIRS and position > 0:
            return "scales"
        if node.op == "dequantize_linear":
            return _role(node.output)
        if node.op in LAYERS and position in (1, 2):
            return "weights" if position == 1 else "biases"
    return "other"
