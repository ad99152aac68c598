"""``cnnc prune --pattern channel``: whole channels leave the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.cli.console import byte_count, print_table
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.prune_report import Scores
    from cnnc.ir import Array, Graph
    from cnnc.observation.observed import Samples
    from cnnc.pruning import PrunedChannels


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """All that there is to tell.

    Attributes:
        scores: None where nothing was evaluated.
        before_file, after_file: bytes of the files, with external data; None where the model came from none.
    """

    pruned: PrunedChannels
    scores: Scores | None
    before_file: int | None
    after_file: int


def check_channel_options(channel: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
    """Refuse options of channels with patterns of weights, and of weights with channels.

    Raises:
        OptionError: one is given.
    """
    pattern = choice["pattern"]
    for name, value in channel.items():
        if value is not None and pattern != "channel":
            where, hint = f"--{name.replace('_', '-')}", "add --pattern channel, or leave it out"
            raise OptionError(f"pattern {pattern} sets weights to 0; channels stay", where=where, hint=hint)
    of_weights = {
        "--prune-first": choice["prune_first"],
        "--keep-last": not choice["prune_last"],
        "--prune-depthwise": choice["prune_depthwise"],
    }
    for where, given in of_weights.items():
        if given and pattern == "channel":
            hint = "leave it out; --exclude keeps the channels of a layer"
            raise OptionError("it is about weights that become 0; channels leave the model", where=where, hint=hint)


def prune_channels_of(
    graph: Graph,
    amount: Mapping[str, Any],
    choice: Mapping[str, Any],
    channel: Mapping[str, Any],
    gradients: Mapping[str, Array] | None,
    samples: Samples | None,
    tell: Callable[[str], None],
) -> PrunedChannels:
    """Prune channels by the options of the command; ``tell`` shows what is being done."""
    from cnnc.pruning import ChannelSettings, prune_graph_channels
    from cnnc.pruning.channel_meter import ProgramMeter

    given = {field: value for field, value in channel.items() if value is not None and field != "threads"}
    settings = ChannelSettings(**amount, **given, **{field: choice[field] for field in ("criterion", "p", "exclude")})
    meter = ProgramMeter(channel["threads"])
    return prune_graph_channels(
        graph,
        settings,
        gradients,
        meter=meter,
        samples=samples,
        progress=lambda what, done: tell(f"{what}, {done} done"),
    )


def report_json(facts: ChannelFacts) -> dict[str, Any]:
    """The report for programs."""
    pruned, latency = facts.pruned, facts.pruned.latency
    return {
        "pattern": "channel",
        "criterion": pruned.settings.criterion,
        "scope": pruned.settings.scope,
        "channel_sparsity": pruned.sparsity,
        "parameters": {"before": pruned.before.parameters, "after": pruned.after.parameters},
        "macs": {"before": pruned.before.macs, "after": pruned.after.macs},
        "seconds": None
        if latency is None
        else {"before": latency.before, "after": latency.after, "limit": latency.limit},
        "groups": [
            {"layers": list(group.layers), "channels": group.channels, "kept": group.kept, "whole_because": group.why}
            for group in pruned.groups
        ],
        "scores": None
        if facts.scores is None
        else {"metric": facts.scores.metric, "dense": facts.scores.dense, "pruned": facts.scores.pruned},
        "file": {"before": facts.before_file, "after": facts.after_file},
    }


def show(facts: ChannelFacts) -> None:
    """The report as a table."""
    rows = [
        (
            _layers(group.layers),
            f"{group.channels:,}",
            f"{group.kept:,}",
            f"whole: {group.why}" if group.why else "pruned",
        )
        for group in facts.pruned.groups
    ]
    print_table(["layers", "channels>", "kept>", "what"], rows)


def sentence(facts: ChannelFacts) -> str:
    """What became of the model."""
    pruned, before, after = facts.pruned, facts.pruned.before, facts.pruned.after
    parts = [
        f"{pruned.sparsity:.1%} of the channels went",
        f"{before.parameters:,} -> {after.parameters:,} parameters",
        f"{before.macs:,} -> {after.macs:,} multiply-accumulates",
    ]
    if pruned.latency is not None:
        parts.append(f"{pruned.latency.before * 1e3:.3g} -> {pruned.latency.after * 1e3:.3g} ms")
    if facts.scores is not None:
        scores = facts.scores
        parts.append(f"{scores.metric} {scores.dense:.4f} -> {scores.pruned:.4f}")
    parts.append(byte_count(facts.after_file))
    return ", ".join(parts)


def _layers(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
