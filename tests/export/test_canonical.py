"""The comparison up to names sees what is different, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cnnc.ir import Graph
from tests.export.canonical import canonical_text
from tests.passes.sketch import Sketch


def network(
    *, name: str = "", bias: float = 1.0, alpha: float = 0.25, swapped: bool = False, output: str = "y"
) -> Graph:
    sketch = Sketch()
    x, other = sketch.input("N", 3), sketch.input("N", 3, name="other")
    if name:
        sketch.normal(2, name="unread")
    b = sketch.const([bias] * 3, name=f"b{name}")
    y = sketch.op("leaky_relu", sketch.op("add", x, b, name=f"add{name}"), alpha=alpha, name=f"act{name}")
    places = sketch.op("non_zero", sketch.op("sub", other if swapped else y, y if swapped else other), name=f"p{name}")
    sketch.graph.set_outputs([y, places], [output, "places"])
    return sketch.graph


def test_names_do_not_count() -> None:
    assert canonical_text(network()) == canonical_text(network(name="_renamed"))


@pytest.mark.parametrize(
    "change",
    [
        lambda: network(bias=2.0),
        lambda: network(alpha=0.5),
        lambda: network(swapped=True),
        lambda: network(output="z"),
    ],
)
def test_everything_else_does(change: Callable[[], Graph]) -> None:
    assert canonical_text(change()) != canonical_text(network())
