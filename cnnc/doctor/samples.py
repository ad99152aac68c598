"""What the tensors of a model hold on sample data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cnnc import interp
from cnnc.ir import Array, Graph
from cnnc.types import DType


@dataclass(frozen=True, slots=True)
class TensorStatistics:
    """One tensor over all samples.

    Attributes:
        elements: how many there were.
        largest: magnitude of the largest finite element.
        squares: sum of the squares of finite elements.
        lowest, highest: of the finite elements.
        not_finite: how many are NaN or infinite.
        at_lowest, at_highest: how many are the least and the largest number of a type of bytes.
        live: which channels, along axis 1, were ever anything but 0; empty where there is no such axis.
    """

    elements: int = 0
    largest: float = 0.0
    squares: float = 0.0
    lowest: float = np.inf
    highest: float = -np.inf
    not_finite: int = 0
    at_lowest: int = 0
    at_highest: int = 0
    live: tuple[bool, ...] = ()

    @property
    def root_mean_square(self) -> float:
        return float(np.sqrt(self.squares / max(1, self.elements - self.not_finite)))

    @property
    def dead_channels(self) -> int:
        return len(self.live) - sum(self.live)

    def with_array(self, array: Array) -> TensorStatistics:
        """These and the elements of one more tensor [N, C, ...]."""
        wide = array.astype(np.float64).reshape(-1)
        finite = wide[np.isfinite(wide)]
        live = self.live
        if array.ndim >= 2:
            now = (array != 0).any(axis=tuple(axis for axis in range(array.ndim) if axis != 1))
            live = tuple((now | np.array(live, bool) if len(live) == len(now) else now).tolist())
        more = replace(
            self,
            elements=self.elements + array.size,
            not_finite=self.not_finite + array.size - finite.size,
            live=live,
        )
        if array.dtype in (np.int8, np.uint8):
            limits = np.iinfo(np.int8) if array.dtype == np.int8 else np.iinfo(np.uint8)
            more = replace(
                more,
                at_lowest=self.at_lowest + int(np.count_nonzero(array == limits.min)),
                at_highest=self.at_highest + int(np.count_nonzero(array == limits.max)),
            )
        if not finite.size:
            return more
        return replace(
            more,
            largest=max(self.largest, float(np.abs(finite).max())),
            squares=self.squares + float(np.square(finite).sum()),
            lowest=min(self.lowest, float(finite.min())),
            highest=max(self.highest, float(finite.max())),
        )


def tensor_statistics(graph: Graph, batches: Iterable[Mapping[str, Array]]) -> dict[str, TensorStatistics]:
    """By value name, of all tensors of floats or bytes that nodes of an imported graph give.

    Raises:
        InputError: a batch does not fit the inputs.
    """
    kinds = (DType.F32, DType.F16, DType.BF16, DType.F64, DType.I8, DType.U8)
    names = [value.name for node in graph.nodes for value in node.outputs if value.type.dtype in kinds]
    found = dict.fromkeys(names, TensorStatistics())
    for batch in batches:
        results = interp.run(graph, batch, capture=names)
        found = {name: statistics.with_array(results[name]) for name, statistics in found.items()}
    return found
