"""What classes of channels are worth: the least worthy go first.

A layer's filter has the score that the criterion gives its weights (``criteria``):

    magnitude    sum of |w|                   Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017
    lp           (sum of |w|^p)^(1/p)
    gradient     sum of |g|
    taylor       sum of |g w|                 after Molchanov et al., Importance Estimation for Neural Network Pruning,
                                              CVPR 2019
    bn-scale     |gamma| of what normalizes the channel
                                              Liu et al., Network Slimming, ICCV 2017

A class that several filters produce together (the layers whose results a residual network adds up, an expansion and the
depthwise filter behind it) is worth their mean, each in units of its layer's mean: a layer with large weights does not
speak for all. For gradient and taylor it is their sum, which says how much the loss changes when all of them go.
Depending layers are scored together as in Fang et al., DepGraph, CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import Dependencies, Labels
from cnnc.errors import ModelError
from cnnc.ir import Array
from cnnc.pruning.channel_groups import ChannelGroup
from cnnc.pruning.channel_settings import ChannelSettings
from cnnc.pruning.criteria import check_gradients, worth_of
from cnnc.pruning.settings import NEEDS_GRADIENTS
from cnnc.pruning.weights import Weight, all_weights, from_rows

Scores = NDArray[np.float64]


def class_scores(
    found: Dependencies,
    groups: Sequence[ChannelGroup],
    settings: ChannelSettings,
    gradients: Mapping[str, Array] | None = None,
) -> dict[ChannelGroup, Scores]:
    """The score of each class of each group, in the order of its ``classes``; at least 0.

    Raises:
        OptionError, InputError: gradients are missing, not needed, or do not fit.
        ModelError: with bn-scale, a group has channels that are not normalized; a score is infinite or NaN.
    """
    sums, counts = np.zeros(found.couplings.count), np.zeros(found.couplings.count)
    check_gradients(settings.criterion, gradients)
    in_units = settings.criterion not in NEEDS_GRADIENTS
    by_scale = settings.criterion == "bn-scale"
    for labels, scores in _normalizations(found) if by_scale else _filters(found, groups, settings, gradients):
        roots = found.couplings.roots(labels)
        np.add.at(sums, roots, scores / _mean(scores) if in_units else scores)
        np.add.at(counts, roots, 1)
    result: dict[ChannelGroup, Scores] = {}
    for group in groups:
        if not counts[group.classes].all():
            hint = "exclude it, or choose another criterion; normalizations may be folded: export the model with them"
            raise ModelError("it has channels without batch normalization", where=f"layer {group.name!r}", hint=hint)
        scores = sums[group.classes]
        if in_units:
            scores = scores / counts[group.classes]
        if not np.isfinite(scores).all():
            hint = "repair the model, or exclude the layer"
            raise ModelError("its weights hold infinity or NaN", where=f"layer {group.name!r}", hint=hint)
        result[group] = scores
    return result


def comparable(scores: Mapping[ChannelGroup, Scores], settings: ChannelSettings) -> dict[ChannelGroup, Scores]:
    """Scores that can be compared between groups: in units of their group's mean, unless they are losses anyway."""
    if settings.criterion in NEEDS_GRADIENTS:
        return dict(scores)
    return {group: found / _mean(found) for group, found in scores.items()}


def _mean(scores: Scores) -> float:
    return max(float(scores.mean()), float(np.finfo(np.float64).tiny))


def _filters(
    found: Dependencies,
    groups: Sequence[ChannelGroup],
    settings: ChannelSettings,
    gradients: Mapping[str, Array] | None,
) -> Iterator[tuple[Labels, Scores]]:
    """Labels and scores of the slices of every weight that produces channels of the groups."""
    sources = [source for group in groups for source in group.sources]
    weights = {weight.value: weight for weight in all_weights(found.graph)}
    read: dict[Weight, None] = {weights[source.node.input(source.position)]: None for source in sources}
    worth = worth_of(found.graph, list(read), settings.criterion, gradients)
    norm = settings.p if settings.criterion == "lp" else 1.0
    for source in sources:
        weight = weights[source.node.input(source.position)]
        labels = found.source_labels(source)
        assert labels is not None
        elements = from_rows(weight.layers[0], worth[weight], weight.array.shape)
        rows = np.moveaxis(elements, source.axis, 0).reshape(len(labels), -1).astype(np.float64)
        yield labels, np.linalg.norm(rows, norm, axis=1)


def _normalizations(found: Dependencies) -> Iterator[tuple[Labels, Scores]]:
    """Labels and |gamma| of every normalization by known statistics."""
    for node in found.graph.nodes:
        if node.op != "batch_normalization" or node.input(1).array is None:
            continue
        labels, gamma = found.axes(node.input(1))[0], node.input(1).array
        if labels is not None and gamma is not None:
            yield labels, np.abs(gamma.astype(np.float64))
