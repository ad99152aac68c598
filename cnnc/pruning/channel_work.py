"""How long a model takes with other numbers of channels, from measurements of a few.

The nodes of some graphs with the same share of all channels are timed. What a node takes is interpolated between these
times by its *work*: its multiply-accumulates, or elements of its result, as a share of what they are with all channels.
A convolution that keeps 3/4 of its filters and half of its inputs does 3/8 of the work, and takes what was measured
where all kept sqrt(3/8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import Dependencies, Labels
from cnnc.ir import Node
from cnnc.pruning.channel_groups import ChannelGroup

Shares = NDArray[np.float64]
"""Of the classes that may go, the share that each group keeps."""


class WorkTimes:
    """Seconds of every node as a function of what each group keeps.

    Args:
        groups: those that may lose channels.
        shares: what each group kept in each of the measured graphs, [P, G]; all of it in the first.
        seconds: of the nodes of each of them, by the names of their first results.
    """

    def __init__(
        self,
        found: Dependencies,
        groups: Sequence[ChannelGroup],
        shares: Sequence[Shares],
        seconds: Sequence[Mapping[str, float]],
    ) -> None:
        owner = np.full(found.couplings.count, len(groups))
        for index, group in enumerate(groups):
            owner[group.classes] = index
        self._nodes: list[_NodeTimes] = []
        for node in found.graph.nodes:
            axes = [_shares_of(found, labels, owner, len(groups)) for labels in _work_axes(found, node)]
            measured = [times.get(node.output.name, 0.0) for times in seconds]
            if any(measured):
                self._nodes.append(_NodeTimes(axes, shares, measured))
        self._of_group = [[node for node in self._nodes if node.depends_on(index)] for index in range(len(groups))]

    def seconds(self, kept: Shares) -> float:
        """Of a whole run."""
        return sum(node.seconds(kept) for node in self._nodes)

    def gain(self, kept: Shares, group: int, share: float) -> float:
        """Seconds that are saved where a group keeps only ``share``."""
        fewer = kept.copy()
        fewer[group] = share
        return sum(node.seconds(kept) - node.seconds(fewer) for node in self._of_group[group])

    def neighbours(self, group: int) -> set[int]:
        """Groups whose gains change with what this one keeps, itself included."""
        return {
            index for index, nodes in enumerate(self._of_group) if any(node in nodes for node in self._of_group[group])
        }


class _NodeTimes:
    """One node: work is the product over its axes of what is kept of them."""

    def __init__(self, axes: list[Shares], shares: Sequence[Shares], seconds: Sequence[float]) -> None:
        self._axes = axes
        works = np.array([self._work(kept) for kept in shares])
        order = np.argsort(works)
        # A node does not become slower by doing less; no work takes no time.
        self._works = np.concatenate([[0.0], works[order]])
        self._seconds = np.concatenate([[0.0], np.maximum.accumulate(np.asarray(seconds)[order])])

    def depends_on(self, group: int) -> bool:
        return any(axis[group] > 0 for axis in self._axes)

    def seconds(self, kept: Shares) -> float:
        return float(np.interp(self._work(kept), self._works, self._seconds))

    def _work(self, kept: Shares) -> float:
        # The last entry of an axis is the share of channels that no group may lose.
        return float(np.prod([axis[:-1] @ kept + axis[-1] for axis in self._axes]))


def _shares_of(found: Dependencies, labels: Labels, owner: NDArray[np.int64], groups: int) -> Shares:
    """Which share of an axis each group has; the last entry is what belongs to none."""
    return np.bincount(owner[found.couplings.roots(labels)], minlength=groups + 1) / len(labels)


def _work_axes(found: Dependencies, node: Node) -> list[Labels]:
    """Labels of the axes whose sizes the node's work is proportional to."""
    axes = found.axes(node.output)
    if node.op == "conv":
        axes = axes + found.axes(node.input(1))[1:]
    elif node.op == "conv_transpose":
        axes = found.axes(node.input(0)) + found.axes(node.input(1))[1:]
    elif node.op == "gemm":
        inner = 0 if getattr(node.attrs, "transA", 0) else 1
        axes = [*axes, found.axes(node.input(0))[inner]]
    elif node.op == "matmul":
        axes = axes + found.axes(node.input(0))[-1:]
    return [labels for labels in axes if labels is not None]
