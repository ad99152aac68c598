"""How many channels each group keeps, and which: the ones of the highest scores, of equal ones the first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import Dependencies
from cnnc.pruning.channel_groups import ChannelGroup, Classes, SelectedGroups
from cnnc.pruning.channel_scores import Scores, comparable
from cnnc.pruning.channel_settings import ChannelSettings

Kept = Mapping[ChannelGroup, int]
"""How many of the classes that may go each group keeps."""


def kept_counts(selected: SelectedGroups, scores: Mapping[ChannelGroup, Scores], settings: ChannelSettings) -> Kept:
    """Ratios become counts."""
    exact: dict[ChannelGroup, float] = {}
    together: dict[ChannelGroup, Scores] = {}
    for group, own in selected.ratios.items():
        ratio = settings.sparsity if own is None else own
        if own is None and settings.scope == "global" and settings.sparsity is not None:
            together[group] = scores[group]
        else:
            exact[group] = len(group.classes) - (ratio or 0.0) * (len(group.classes) + group.fixed)
    exact |= _of_all(comparable(together, settings), settings)
    return {
        group: int(min(allowed_counts(group, settings), key=lambda count: (abs(count - exact[group]), -count)))
        for group in selected.ratios
    }


def allowed_counts(group: ChannelGroup, settings: ChannelSettings) -> list[int]:
    """Classes that may be kept of those that may go: all, or as many as make a multiple, from most to fewest."""
    classes = len(group.classes) + group.fixed
    step = settings.multiple(group.channels, group.width)
    least = max(-(-settings.min_channels // group.width), 1)
    if settings.sparsity is None or settings.scope == "global":
        least = max(least, classes - int(settings.max_layer_sparsity * classes))
    wanted = [count - group.fixed for count in range(classes // step * step, 0, -step) if count >= least]
    return [len(group.classes), *(count for count in wanted if 0 <= count < len(group.classes))]


def removed_classes(found: Dependencies, kept: Kept, scores: Mapping[ChannelGroup, Scores]) -> NDArray[np.int64]:
    """The classes that go, so that every tensor keeps a channel."""
    parts: list[Classes] = [np.zeros(0, np.int64)]
    worth = np.zeros(found.couplings.count)
    for group, count in kept.items():
        order = np.argsort(scores[group], kind="stable")
        parts.append(group.classes[order[: len(order) - count]])
        worth[group.classes] = scores[group]
    return found.sparing(np.concatenate(parts), worth)


def _of_all(scores: Mapping[ChannelGroup, Scores], settings: ChannelSettings) -> dict[ChannelGroup, float]:
    """How many classes each group keeps where all are compared with each other."""
    if not scores:
        return {}
    assert settings.sparsity is not None
    pool = np.concatenate(list(scores.values()))
    owner = np.repeat(np.arange(len(scores)), [len(found) for found in scores.values()])
    total = sum(len(group.classes) + group.fixed for group in scores)
    order = np.argsort(pool, kind="stable")[: round(settings.sparsity * total)]
    removed = np.bincount(owner[order], minlength=len(scores))
    return {group: float(len(found) - count) for (group, found), count in zip(scores.items(), removed.tolist())}
