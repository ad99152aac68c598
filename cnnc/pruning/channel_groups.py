"""Groups of channels that are compared with each other: those that some layers produce together.

The filters of one layer are a group; filters of several layers are one where their results are added up, or else depend
on each other (``cnnc.channels``). A group consists of *classes* of channels that can only go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import Couplings, Dependencies, Source
from cnnc.errors import ModelError, OptionError
from cnnc.ir import Graph
from cnnc.pruning.channel_settings import ChannelSettings
from cnnc.pruning.names import fits

Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ChannelGroup:
    """Classes of channels that are compared with each other.

    Attributes:
        sources: weights that produce the channels, in graph order.
        classes: that may go.
        fixed: how many classes must stay.
        channels: along the axis of the source that has most of them.
        reason: why some, or all, must stay; "" if none must.
    """

    sources: tuple[Source, ...]
    classes: Classes
    fixed: int
    channels: int
    reason: str

    @property
    def name(self) -> str:
        """Of the first layer."""
        return self.sources[0].node.name

    @property
    def width(self) -> int:
        """Channels of a class along that axis."""
        return max(1, self.channels // (len(self.classes) + self.fixed))

    def is_called(self, name: str) -> bool:
        """Whether one of its layers, or of their weights, has the name."""
        names = [text for source in self.sources for text in (source.node.name, _weight_name(source))]
        return any(fits(name, text) for text in names)


@dataclass(frozen=True, slots=True)
class SelectedGroups:
    """What is pruned.

    Attributes:
        groups: all groups, in graph order.
        ratios: those to prune with a ratio of their own; None: that of all.
        whole: others, with the reason.
    """

    groups: tuple[ChannelGroup, ...]
    ratios: Mapping[ChannelGroup, float | None]
    whole: Mapping[ChannelGroup, str]


def channel_groups(found: Dependencies) -> list[ChannelGroup]:
    """All groups of a graph, in graph order."""
    sources = [source for source in found.sources if found.source_labels(source) is not None]
    together = Couplings()
    together.fresh(found.couplings.count)
    classes: list[Classes] = []
    for source in sources:
        labels = found.source_labels(source)
        assert labels is not None
        classes.append(np.unique(found.couplings.roots(labels)))
        together.couple(classes[-1][:-1], classes[-1][1:])
    members: dict[int, list[int]] = {}
    for index, roots in enumerate(classes):
        members.setdefault(int(together.roots(roots[:1])[0]), []).append(index)
    return [_group(found, [sources[i] for i in each], [classes[i] for i in each]) for each in members.values()]


def select_groups(graph: Graph, groups: Sequence[ChannelGroup], settings: ChannelSettings) -> SelectedGroups:
    """What the settings prune.

    Raises:
        ModelError: no group can be pruned.
        OptionError: a name of the settings fits no layer.
    """
    if not groups:
        hint = "layers multiply floats here? Prune a model before it is quantized, and give its weights as initializers"
        raise ModelError("no layer has constant weights", where=graph.name, hint=hint)
    for name in (*settings.exclude, *(name for name, _ in settings.ratios)):
        if not any(group.is_called(name) for group in groups):
            known = ", ".join(repr(group.name) for group in groups[:5])
            hint = f"* stands for any text; layers are {known}{', ...' if len(groups) > 5 else ''}"
            raise OptionError(f"no layer, and no weight of one, is called {name!r}", where=name, hint=hint)
    ratios: dict[ChannelGroup, float | None] = {}
    whole: dict[ChannelGroup, str] = {}
    for group in groups:
        own = [ratio for name, ratio in settings.ratios if group.is_called(name)]
        reason = _unfit(group) or next(
            (f"excluded by {name!r}" for name in settings.exclude if group.is_called(name)), ""
        )
        if reason:
            whole[group] = reason
        else:
            ratios[group] = own[-1] if own else None
    if not ratios:
        reasons = "; ".join(f"{group.name}: {reason}" for group, reason in list(whole.items())[:5])
        raise ModelError(f"no channels can be removed ({reasons})", where=graph.name, hint="change the settings")
    return SelectedGroups(tuple(groups), ratios, whole)


def _unfit(group: ChannelGroup) -> str:
    """Why no channels of a group can go."""
    if not len(group.classes):
        return group.reason
    if len(group.classes) + group.fixed < 2:
        return "all of its channels can only go together"
    for source in group.sources:
        weights = source.node.input(source.position).type
        if not weights.dtype.is_float or (source.node.op in ("gemm", "matmul") and weights.rank > 2):
            return f"the weights of {source.node.name!r} are no matrix of floats"
    return ""


def _group(found: Dependencies, sources: list[Source], classes: list[Classes]) -> ChannelGroup:
    roots = np.unique(np.concatenate(classes))
    pinned = found.couplings.pinned(roots)
    reasons = [found.couplings.reason(int(root)) for root in roots[pinned][:1]]
    labels = found.source_labels(sources[0])
    assert labels is not None
    return ChannelGroup(tuple(sources), roots[~pinned], int(pinned.sum()), len(labels), next(filter(None, reasons), ""))


def _weight_name(source: Source) -> str:
    return source.node.input(source.position).name
