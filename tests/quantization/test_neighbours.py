"""Links look through moves and activations; times count for the layer before."""

from __future__ import annotations

from cnnc.ir import Graph
from cnnc.quantization.neighbours import FLOAT, Link, links, owners
from cnnc.quantization.placement import place
from tests.passes.sketch import Sketch


def network() -> Graph:
    """Two convolutions in a row, a pool between them, a residual sum, and a softmax that has no integer form."""
    sketch = Sketch()
    x = sketch.input("N", 4, 8, 8)
    first = sketch.op("conv", x, sketch.normal(4, 4, 1, 1), name="first")
    pooled = sketch.op("max_pool", sketch.op("relu", first, name="act"), name="pool", kernel_shape=(2, 2))
    second = sketch.op("conv", pooled, sketch.normal(4, 4, 1, 1), name="second")
    total = sketch.op("add", pooled, second, name="sum")
    return sketch.returns(sketch.op("softmax", total, name="soft", axis=1)).graph


def test_links() -> None:
    graph = network()
    [source] = graph.inputs
    assert set(links(graph, place(graph).chosen)) == {
        Link(FLOAT, ("first",), source.name),
        Link("first", ("second", "sum"), "first"),
        Link("second", ("sum",), "second"),
        Link("sum", (FLOAT,), "sum"),
    }


def test_a_layer_that_stays_in_float_is_no_layer() -> None:
    graph = network()
    found = {link.value: link for link in links(graph, place(graph, in_float={"second": "slow"}).chosen)}
    assert found["first"].consumers == (FLOAT, "sum")
    assert found["second"].producer == FLOAT


def test_owners() -> None:
    graph = network()
    found = {node.output.name: owner for node, owner in owners(graph, place(graph).chosen).items()}
    assert found == {
        "first": "first",
        "act": "first",
        "pool": "first",
        "second": "second",
        "sum": "sum",
        "soft": "sum",
    }
