"""The channel labels of every value while a graph is read from front to back, and what reads channels.

Axes without labels (batches, maps, axes of size 1) keep their size whatever is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.channels.couplings import Couplings, Labels
from cnnc.ir import Node, Value

Axes = list[Labels | None]
"""Labels of each axis of a tensor."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An op that sums over channels: a channel whose elements are all 0 adds nothing to its result.

    Attributes:
        node: the op.
        operands: (input position, axis) of each tensor that is summed over, with the same channels; of a convolution
            its input and its weights.
    """

    node: Node
    operands: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """An axis of a constant whose slices each produce one channel: the rows of a layer's weights.

    Attributes:
        node: the layer.
        position: of the constant among its inputs.
        axis: of the constant.
    """

    node: Node
    position: int
    axis: int


class Tracker:
    """What ``rules`` read and write."""

    def __init__(self) -> None:
        self.couplings = Couplings()
        self.labels: dict[Value, Axes] = {}
        self.readings: list[Reading] = []
        self.sources: list[Source] = []
        self.sizes: dict[Value, list[Labels]] = {}
        """Values computed from sizes of axes: from these axes."""

    # ---- reading ----------------------------------------------------------------------------------------------------

    def axes(self, value: Value) -> Axes:
        """Labels of each axis; those of a constant come into being here."""
        return [self.axis(value, axis) for axis in range(len(value.type.shape))]

    def axis(self, value: Value, axis: int) -> Labels | None:
        """Labels along one axis, counted from the front."""
        known = self.labels.setdefault(value, [None] * len(value.type.shape))
        if known[axis] is None and value.is_constant:
            known[axis] = self.fresh(value, axis)
        return known[axis]

    def fresh(self, value: Value, axis: int) -> Labels | None:
        """New channels for an axis; None where its size is 1 or not known. Whole numbers are sizes and indices."""
        size = value.type.shape[axis]
        if value.type.dtype.numpy.kind in "iu":
            return None
        return self.couplings.fresh(size) if isinstance(size, int) and size > 1 else None

    # ---- writing ----------------------------------------------------------------------------------------------------

    def give(self, value: Value, axes: Sequence[Labels | None]) -> None:
        """Set the labels of a result. Axes of size 1 have none."""
        self.labels[value] = [
            None if size == 1 else labels for size, labels in zip(value.type.shape, axes, strict=True)
        ]

    def give_axis(self, value: Value, axis: int, labels: Labels | None) -> None:
        """Couple one axis of an operand with ``labels``. A constant that has none yet takes these."""
        if value.type.shape[axis] == 1:
            return
        known = self.labels.setdefault(value, [None] * len(value.type.shape))
        if value.is_constant and known[axis] is None:
            if labels is not None:
                known[axis] = labels
                return
            if len(value.uses) == 1:
                return
        self.join(self.axis(value, axis), labels, f"it meets an axis of {value.name!r} that must stay")

    def join(self, a: Labels | None, b: Labels | None, reason: str) -> Labels | None:
        """Two axes of one size go together, index by index; one that meets an axis without labels must stay."""
        if a is None or b is None:
            found = b if a is None else a
            self.pin(found, reason)
            return found
        if a is not b:
            self.couplings.couple(a, b)
        return a

    def pin(self, labels: Labels | None, reason: str) -> None:
        """Channels that must stay."""
        if labels is not None:
            self.couplings.pin(labels, reason)

    def keep(self, value: Value, reason: str) -> None:
        """All channels of an operand must stay. A constant that this op alone reads never gets any."""
        known = self.axes(value) if len(value.uses) > 1 else self.labels.get(value, [])
        for labels in known:
            self.pin(labels, reason)

    def pin_all(self, node: Node, reason: str) -> None:
        """All channels of an op's operands must stay; its results carry none."""
        for value in node.inputs:
            if value is not None:
                self.keep(value, reason)
        for value in node.outputs:
            self.give(value, [None] * len(value.type.shape))

    def tie(self, labels: Labels, copies: int) -> None:
        """Couple index i of the first of ``copies`` equal parts with index i of the others."""
        parts = labels.reshape(copies, -1)
        for part in parts[1:]:
            self.couplings.couple(parts[0], part)

    def tie_runs(self, labels: Labels, runs: int) -> None:
        """Couple all channels of each of ``runs`` equal consecutive parts."""
        parts = labels.reshape(runs, -1)
        for column in range(1, parts.shape[1]):
            self.couplings.couple(parts[:, 0], parts[:, column])

    def read(self, node: Node, *operands: tuple[int, int]) -> None:
        """The op sums over these axes."""
        self.readings.append(Reading(node, operands))

    def produce(self, node: Node, position: int, axis: int) -> None:
        """The constant's slices along the axis each produce a channel."""
        if node.input(position).is_constant:
            self.sources.append(Source(node, position, axis))


def repeated(labels: Labels | None, times: int) -> Labels | None:
    """Each label so many times in a row."""
    return None if labels is None else np.repeat(labels, times)
