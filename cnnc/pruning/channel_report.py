"""What became of every group of channels, and what a model costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import Dependencies
from cnnc.dims import evaluate, symbols
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.pruning.channel_groups import ChannelGroup
from cnnc.sample_inputs import OTHER_SIZE


@dataclass(frozen=True, slots=True)
class GroupReport:
    """One group of channels.

    Attributes:
        layers: names of the layers that produce it.
        channels: of the layer that has most of them, and ``kept`` of these.
        why: it was left whole; "" if it was pruned.
    """

    layers: tuple[str, ...]
    channels: int
    kept: int
    why: str


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Of a model with a batch of 1, and 64 for other open sizes.

    Attributes:
        parameters: elements of constants but for sizes and indices.
        macs: multiply-accumulates.
    """

    parameters: int
    macs: int


def group_reports(
    found: Dependencies, groups: Mapping[ChannelGroup, str], removed: NDArray[np.int64]
) -> tuple[GroupReport, ...]:
    """What became of each group; ``groups`` say why they were left whole."""
    gone = found.members(removed)
    reports: list[GroupReport] = []
    for group, why in groups.items():
        axes = [labels for source in group.sources if (labels := found.source_labels(source)) is not None]
        labels = max(axes, key=len)
        layers = tuple(dict.fromkeys(source.node.name for source in group.sources))
        reports.append(GroupReport(layers, len(labels), int((~gone[labels]).sum()), why))
    return tuple(reports)


def cost_of(graph: Graph) -> ModelCost:
    """Parameters and multiply-accumulates."""
    sizes: dict[str, int] = {}
    for value in graph.inputs:
        for axis, dim in enumerate(value.type.shape):
            sizes |= {name: 1 if axis == 0 else OTHER_SIZE for name in symbols(dim) if name not in sizes}
    parameters = sum(
        value.array.size for value in graph.constants if value.array is not None and value.array.dtype.kind == "f"
    )
    macs = 0
    for node in graph.nodes:
        cost = OPS[node.op].macs
        if cost is None:
            continue
        types = [None if value is None else value.type for value in node.inputs]
        dim = cost(node.attrs, types, [value.type for value in node.outputs])
        macs += evaluate(dim, sizes) if symbols(dim) <= sizes.keys() else 0
    return ModelCost(parameters, macs)
