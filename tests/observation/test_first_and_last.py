"""Layers at the ends."""

from __future__ import annotations

from cnnc import dsl
from cnnc.observation.first_and_last import first_layers, last_layers


class TwoHeads(dsl.Module):
    """Two first and two last layers, and one between."""

    def __init__(self) -> None:
        self.left = dsl.Conv2d(3, 4, 1)
        self.right = dsl.Conv2d(3, 4, 1)
        self.middle = dsl.Conv2d(4, 4, 3)
        self.head = dsl.Conv2d(4, 2, 1)
        self.side = dsl.Conv2d(4, 2, 1)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, 3, H, W] -> [N, 4, H, W]."""
        x = dsl.relu(self.left(x) + self.right(dsl.relu(x)))
        x = dsl.relu(self.middle(x))
        return dsl.concat([self.head(x), dsl.relu(self.side(x))])


def test_ends_are_found_past_what_is_no_layer() -> None:
    graph = dsl.model(TwoHeads(), (1, 3, 8, 8)).graph()
    names = {node.output.name: node.name for node in graph.nodes}
    assert sorted(names[result].split()[0] for result in first_layers(graph)) == ["left", "right"]
    assert sorted(names[result].split()[0] for result in last_layers(graph)) == ["head", "side"]
