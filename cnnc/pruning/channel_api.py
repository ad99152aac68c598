"""``cnnc.prune_channels``: a model loses whole channels and becomes smaller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnnc.channels import dependencies, shrink
from cnnc.compiler import Model
from cnnc.ir import Array, Graph
from cnnc.observation.observed import Progress, Samples, kept
from cnnc.pruning.api import Gradients, gradients_of, own_graph
from cnnc.pruning.channel_allocation import kept_counts, removed_classes
from cnnc.pruning.channel_groups import channel_groups, select_groups
from cnnc.pruning.channel_latency import Latency, removed_for_latency
from cnnc.pruning.channel_meter import Meter, ProgramMeter
from cnnc.pruning.channel_recovery import recovered
from cnnc.pruning.channel_report import GroupReport, ModelCost, cost_of, group_reports
from cnnc.pruning.channel_scores import class_scores
from cnnc.pruning.channel_settings import ChannelSettings


@dataclass(frozen=True, slots=True)
class PrunedChannels:
    """A model with fewer channels, and how it was made.

    Attributes:
        graph: the smaller model, of the same names, inputs and outputs; ``cnnc.compile`` and ``cnnc.export_onnx`` take
            it.
        settings: how it was pruned.
        groups: what became of every group of channels.
        before, after: what the model costs.
        latency: what it takes, where that was to be reached.
    """

    graph: Graph
    settings: ChannelSettings
    groups: tuple[GroupReport, ...]
    before: ModelCost
    after: ModelCost
    latency: Latency | None = None

    @property
    def sparsity(self) -> float:
        """Share of the channels that went, of all groups that were pruned."""
        chosen = [group for group in self.groups if not group.why]
        return 1 - sum(group.kept for group in chosen) / sum(group.channels for group in chosen)


def prune_channels(
    model: Model,
    *,
    sparsity: float | None = None,
    target_latency: str | None = None,
    criterion: str = "magnitude",
    p: float = 2.0,
    scope: str = "layer",
    max_layer_sparsity: float = 1.0,
    ratios: Mapping[str, float] | None = None,
    exclude: Sequence[str] = (),
    round_to: int | None = None,
    min_channels: int = 1,
    gradients: Gradients | None = None,
    threads: int | None = None,
    data: Iterable[Mapping[str, Array]] | Samples | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    progress: Progress = lambda what, done: None,
) -> PrunedChannels:
    """Remove the channels of a model that are worth least, and with them all that depends on them.

    The result is a smaller model, which computes what the model does with these channels set to 0 wherever channels are
    mixed (``cnnc.channels.shrink``).

    Args:
        model, shapes: as for ``cnnc.compile``; a ``Graph`` stays as it is.
        sparsity, target_latency, criterion, p, scope, max_layer_sparsity, ratios, exclude, round_to, min_channels: see
            ``pruning.ChannelSettings``.
        gradients: of the loss by each weight, by the name of its initializer and of its shape, or an .npz file of them;
            for the criteria gradient and taylor.
        threads: most threads of the runs that are timed for a latency; None for all that the process may use.
        data: batches on which the weights of the channels that are left are fitted to what the whole model computes,
            one array for every input; a few hundred samples. A function gives them anew each time; other iterables are
            kept in memory.
        progress: told of what is timed or fitted, and how much of it.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, or why none of its channels can go.
        InputError: gradients or data are missing or do not fit.
        OptionError: an option makes no sense or names no layer, or the latency cannot be reached.
    """
    settings = ChannelSettings(
        sparsity=sparsity,
        target_latency=target_latency,
        criterion=criterion,
        p=p,
        scope=scope,
        max_layer_sparsity=max_layer_sparsity,
        ratios=tuple((ratios or {}).items()),
        exclude=tuple(exclude),
        round_to=round_to,
        min_channels=min_channels,
    )
    settings.check_amount()
    graph = own_graph(model, shapes)
    return prune_graph_channels(
        graph,
        settings,
        gradients_of(graph, gradients),
        meter=ProgramMeter(threads),
        samples=data if data is None or callable(data) else kept(data),
        progress=progress,
    )


def prune_graph_channels(
    graph: Graph,
    settings: ChannelSettings,
    gradients: Mapping[str, Array] | None = None,
    *,
    meter: Meter | None = None,
    samples: Samples | None = None,
    progress: Progress = lambda what, done: None,
) -> PrunedChannels:
    """Prune channels of a graph, which stays as it is.

    Args:
        gradients: of the loss by each weight, by the name of its initializer and of its shape; for the criteria
            gradient and taylor.
        meter: times models for a latency to reach; None: as programs on this machine, on all threads.
        samples: see ``channel_recovery``; None: weights stay as they are.
        progress: told of what is timed or fitted, and how much of it.

    Raises:
        ModelError: no channels can be removed, for the reasons that are given.
        InputError: gradients are missing or do not fit.
        OptionError: a name fits no layer, it is not said how many channels go, or the latency cannot be reached.
    """
    settings.check_amount()
    found = dependencies(graph)
    selected = select_groups(graph, channel_groups(found), settings)
    scores = class_scores(found, list(selected.ratios), settings, gradients)
    counts = kept_counts(selected, scores, settings)
    latency = None
    if settings.target_latency is None:
        removed = removed_classes(found, counts, scores)
    else:
        fixed = {group: counts[group] for group, own in selected.ratios.items() if own is not None}
        removed, latency = removed_for_latency(found, fixed, scores, settings, meter or ProgramMeter(), progress)
    whole = graph if samples is None else recovered(found, removed, samples, progress)
    small = shrink(found if samples is None else dependencies(whole), removed)
    reasons = {group: selected.whole.get(group, "") for group in selected.groups}
    reports = group_reports(found, reasons, removed)
    return PrunedChannels(small, settings, reports, cost_of(graph), cost_of(small), latency)
