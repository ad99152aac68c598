"""What became of every weight: how many of its elements are left, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnc.ir import Graph
from cnnc.pruning.masks import Masks
from cnnc.pruning.weights import Selected, all_weights


@dataclass(frozen=True, slots=True)
class WeightReport:
    """One weight of a pruned model.

    Attributes:
        name: of the weight; ``layer`` is the name of the node that reads it, or of the first one, ``op`` its op.
        shape: of the weight.
        kept: elements that its mask keeps: all of them where it was left dense.
        nonzero: elements that are not 0, which may be fewer.
        why: it was left dense; "" if it was pruned.
    """

    name: str
    layer: str
    op: str
    shape: tuple[int, ...]
    kept: int
    nonzero: int
    why: str

    @property
    def total(self) -> int:
        """Elements."""
        return int(np.prod(self.shape))

    @property
    def density(self) -> float:
        """Share of the elements that are not 0."""
        return self.nonzero / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over weights.

    Attributes:
        pruned_weights: elements of the weights that were pruned, ``pruned_kept`` of which their masks keep.
        weights: elements of all layers' weights, ``nonzero`` of which are not 0.
    """

    pruned_weights: int
    pruned_kept: int
    weights: int
    nonzero: int

    @property
    def pruned_sparsity(self) -> float:
        """Share of the pruned layers' weights that went."""
        return 1 - self.pruned_kept / self.pruned_weights if self.pruned_weights else 0.0

    @property
    def sparsity(self) -> float:
        """Share of all layers' weights that are 0."""
        return 1 - self.nonzero / self.weights if self.weights else 0.0


def weight_reports(graph: Graph, masks: Masks, selected: Selected) -> tuple[WeightReport, ...]:
    """Every weight of the pruned graph, in graph order."""
    why = {weight.name: reason for weight, reason in selected.dense.items()}
    return tuple(
        WeightReport(
            weight.name,
            weight.layers[0].name,
            weight.layers[0].op,
            weight.array.shape,
            int(np.count_nonzero(masks[weight.name])) if weight.name in masks else weight.array.size,
            int(np.count_nonzero(weight.array)),
            why.get(weight.name, ""),
        )
        for weight in all_weights(graph)
    )


def recounted(graph: Graph, reports: Sequence[WeightReport]) -> tuple[WeightReport, ...]:
    """The reports once elements that masks keep have changed."""
    counts = {weight.name: int(np.count_nonzero(weight.array)) for weight in all_weights(graph)}
    return tuple(replace(report, nonzero=counts[report.name]) for report in reports)


def totals(reports: Sequence[WeightReport]) -> Totals:
    """Sums over all of them."""
    pruned = [report for report in reports if not report.why]
    return Totals(
        sum(report.total for report in pruned),
        sum(report.kept for report in pruned),
        sum(report.total for report in reports),
        sum(report.nonzero for report in reports),
    )
