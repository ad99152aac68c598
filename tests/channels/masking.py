"""The meaning of a removal: the whole graph, with the removed channels set to 0 wherever channels are mixed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnc import interp
from cnnc.channels import Dependencies, shrink
from cnnc.ir import Graph, Node, Value
from cnnc.ir.verify import verify
from cnnc.sample_inputs import sample_arrays


def masked_graph(found: Dependencies, removed: NDArray[np.int64]) -> Graph:
    """A copy in which a product with a 0/1 mask stands before each first operand of a reading."""
    gone = found.members(removed)
    read: dict[tuple[Node, int], int] = {}
    for reading in found.readings:
        position, axis = reading.operands[0]
        read[reading.node, position] = axis
    copy = Graph(found.graph.table, found.graph.name)
    copies: dict[Value, Value] = {}
    for value in found.graph.inputs:
        copies[value] = copy.add_input(value.name, value.type)
    for value in found.graph.constants:
        assert value.array is not None
        copies[value] = copy.add_constant(value.array, value.name)
    for node in found.graph.nodes:
        operands = [None if value is None else copies[value] for value in node.inputs]
        for position, value in enumerate(node.inputs):
            axis = read.get((node, position))
            labels = None if value is None or axis is None else found.axes(value)[axis]
            if labels is None or axis is None or value is None:
                continue
            shape = [1] * len(value.type.shape)
            shape[axis] = len(labels)
            mask = (~gone[labels]).reshape(shape).astype(value.type.dtype.numpy)
            operands[position] = copy.add_node("mul", (copies[value], copy.add_constant(mask, "mask"))).output
        names = [value.name for value in node.outputs]
        made = copy.add_node(node.op, operands, node.attrs, outputs=len(names), names=names, loc=node.loc)
        copies.update(zip(node.outputs, made.outputs, strict=True))
    copy.set_outputs([copies[value] for value in found.graph.outputs], found.graph.output_names)
    return copy


def random_removal(found: Dependencies, ratio: float, seed: int = 0) -> NDArray[np.int64]:
    """Classes that may go, each with this chance; every axis keeps a channel."""
    everything = np.arange(found.couplings.count)
    roots = np.unique(found.couplings.roots(everything))
    free = roots[~found.couplings.pinned(roots)]
    removed = free[np.random.default_rng(seed).random(len(free)) < ratio]
    for axes in found.labels.values():
        for labels in axes:
            if labels is not None and np.isin(classes := found.couplings.roots(labels), removed).all():
                removed = np.setdiff1d(removed, classes[:1])
    return removed


def assert_same_as_masked(found: Dependencies, removed: NDArray[np.int64], tolerance: float = 1e-9) -> Graph:
    """The shrunk graph computes what the masked one does, in float64; returns it."""
    small = shrink(found, removed)
    verify(small)
    feeds = sample_arrays({value.name: value.type for value in found.graph.inputs}, batch=2)
    wanted = interp.run(masked_graph(found, removed), feeds, float64=True)
    got = interp.run(small, feeds, float64=True)
    assert list(got) == list(wanted)
    for name, array in wanted.items():
        assert got[name].shape == array.shape
        scale = max(float(np.std(array)), 1e-30)
        assert np.abs(got[name] - array).max() / scale < tolerance, name
    return small
