"""Which channels go together: a union-find over channel numbers, and the reasons for which channels must stay.

Every index along a tensor's channel axis carries the number of a channel; ``labels`` are these numbers as an array.
Channels that an op couples (the two sides of an addition, a depthwise filter's input and output) become one *class*.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
"""Channel numbers, one for each index along an axis."""


class Couplings:
    """Channel numbers 0 .. count-1 in disjoint classes; a class is called by one of its numbers, its root."""

    def __init__(self) -> None:
        self._parent: Labels = np.zeros(1024, np.int64)
        self._reasons: dict[int, str] = {}
        self.count = 0

    def fresh(self, count: int) -> Labels:
        """So many new channels, each a class of its own."""
        start, self.count = self.count, self.count + count
        if self.count > len(self._parent):
            self._parent = np.concatenate([self._parent, np.zeros(self.count + len(self._parent), np.int64)])
        self._parent[start : self.count] = np.arange(start, self.count)
        return np.arange(start, self.count)

    def roots(self, labels: Labels) -> Labels:
        """The class of each channel."""
        found = self._parent[labels]
        while True:
            above = self._parent[found]
            if (above == found).all():
                break
            found = above
        self._parent[labels] = found
        return found

    def couple(self, a: Labels, b: Labels) -> None:
        """``a[i]`` and ``b[i]`` go together, for each i."""
        for left, right in zip(self.roots(a).tolist(), self.roots(b).tolist(), strict=True):
            left, right = self._root(left), self._root(right)
            if left == right:
                continue
            self._parent[right] = left
            if right in self._reasons:
                self._reasons.setdefault(left, self._reasons.pop(right))

    def pin(self, labels: Labels, reason: str) -> None:
        """These channels must stay; the first reason given for a class counts."""
        for root in np.unique(self.roots(labels)).tolist():
            self._reasons.setdefault(root, reason)

    def reason(self, root: int) -> str | None:
        """Why a class must stay; None where it may go."""
        return self._reasons.get(root)

    def pinned(self, labels: Labels) -> NDArray[np.bool_]:
        """Which of the channels must stay."""
        if not self._reasons:
            return np.zeros(labels.shape, bool)
        return np.isin(self.roots(labels), np.fromiter(self._reasons, np.int64, len(self._reasons)))

    def _root(self, label: int) -> int:
        while (above := int(self._parent[label])) != label:
            label = above
        return label
