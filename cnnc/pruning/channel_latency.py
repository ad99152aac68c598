"""How many channels each group keeps so that a run takes no longer than a target, by measured times.

1. Graphs in which all groups keep the same share of their channels are timed, node by node (``channel_work``).
2. From all channels on, the group loses channels next whose next ones are worth least for the time that they take:
   loss per second saved, by the best of the group's next few numbers of channels. This gives a path of models from
   large to small. A group of n layers that keeps a share s of the sum of its scores has the loss -n log(s): what is
   left of it counts, so that no group goes on losing channels only because its neighbours are wide. For criteria that
   estimate what the training loss changes by, it is the sum of the scores that go.
3. The first model on this path is sought that takes no longer than the target, as a whole, by bisection: predicted
   times only say where to begin. Each model is timed in turns with the original.

Source: Yang et al., NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications, ECCV 2018, whose layers
too lose channels by measured times; there the choice between them is by accuracy after some training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.channels import Dependencies, shrink
from cnnc.errors import OptionError
from cnnc.observation.observed import Progress
from cnnc.pruning.channel_allocation import Kept, allowed_counts, removed_classes
from cnnc.pruning.channel_groups import ChannelGroup
from cnnc.pruning.channel_meter import Meter
from cnnc.pruning.channel_scores import Scores
from cnnc.pruning.channel_settings import ChannelSettings, parse_latency
from cnnc.pruning.channel_work import Shares, WorkTimes
from cnnc.pruning.settings import NEEDS_GRADIENTS

_MEASURED_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of channels, in the graphs whose nodes are timed."""

_MOST_STEPS_AHEAD = 6
_MOST_MEASUREMENTS = 8


@dataclass(frozen=True, slots=True)
class Latency:
    """Median seconds of a run.

    Attributes:
        before, after: of the whole model and of the pruned one, timed in turns.
        limit: what was to be reached.
    """

    before: float
    after: float
    limit: float


def removed_for_latency(
    found: Dependencies,
    fixed: Kept,
    scores: Mapping[ChannelGroup, Scores],
    settings: ChannelSettings,
    meter: Meter,
    progress: Progress = lambda what, done: None,
) -> tuple[NDArray[np.int64], Latency]:
    """The classes that go, and the times with and without them.

    Args:
        fixed: groups with a ratio of their own, and what they keep.

    Raises:
        OptionError: the target cannot be reached, or no group is left to choose for.
    """
    assert settings.target_latency is not None
    target = parse_latency(settings.target_latency)
    groups = [group for group in scores if group not in fixed]
    if not groups:
        raise OptionError(
            "all groups have ratios of their own", where="target_latency", hint="leave some to the search"
        )
    counts = [allowed_counts(group, settings) for group in groups]

    def without(kept: Kept) -> NDArray[np.int64]:
        return removed_classes(found, {**fixed, **kept}, scores)

    times = _measure_work(found, groups, counts, without, meter, progress)
    by_share = settings.criterion not in NEEDS_GRADIENTS
    losses = [
        _losses(scores[group], allowed, len(group.sources) if by_share else None)
        for group, allowed in zip(groups, counts)
    ]
    path = _path(groups, counts, losses, times)
    best: tuple[NDArray[np.int64], Latency] | None = None
    # The first model on the path lies in low < index <= high; the last index stands for what was not reached yet.
    low, high, slowness, fastest = -1, len(path), 1.0, float("inf")
    before = limit = float("inf")
    for done in range(1, _MOST_MEASUREMENTS + 1):
        if high - low <= 1:
            break
        limit_now = target.limit(path[0].seconds) if done == 1 else limit / slowness
        index = _guess(path, low, high, limit_now)
        if best is None and done == _MOST_MEASUREMENTS:
            index = len(path) - 1  # the fastest says whether the target can be reached at all
        progress("models", done)
        removed = without(path[index].kept)
        before, after = meter.runs([found.graph, shrink(found, removed)])
        limit, fastest = target.limit(before), min(fastest, after)
        slowness = after / path[index].seconds
        if after <= limit:
            high, best = index, (removed, Latency(before, after, limit))
        else:
            low = index
    if best is None:
        what = (
            f"a run takes {_shown(fastest)} at best, and {_shown(before)} with all channels; asked are {_shown(limit)}"
        )
        hint = "allow more, or raise max_layer_sparsity, or exclude less"
        raise OptionError(what, where=f"target_latency={settings.target_latency}", hint=hint)
    return best


@dataclass(frozen=True, slots=True)
class _Point:
    """A model on the path: what each group keeps, and how long it is predicted to take."""

    kept: Kept
    seconds: float


def _guess(path: list[_Point], low: int, high: int, limit: float) -> int:
    """The index between the bounds whose prediction says that it is the first within the limit."""
    fits = next((index for index, point in enumerate(path) if point.seconds <= limit), len(path) - 1)
    # Where nothing was within the limit, the last model decides whether anything is.
    return max(low + 1, min(fits, high - 1))


def _measure_work(
    found: Dependencies,
    groups: list[ChannelGroup],
    counts: list[list[int]],
    without: Callable[[Kept], NDArray[np.int64]],
    meter: Meter,
    progress: Progress,
) -> WorkTimes:
    progress("layers", 0)
    kept = [
        {group: _nearest(allowed, share * len(group.classes)) for group, allowed in zip(groups, counts)}
        for share in _MEASURED_SHARES
    ]
    seconds = meter.nodes([shrink(found, without(each)) for each in kept])
    shares = [np.array([each[group] / len(group.classes) for group in groups]) for each in kept]
    return WorkTimes(found, groups, shares, seconds)


def _nearest(allowed: list[int], wanted: float) -> int:
    return min(allowed, key=lambda count: abs(count - wanted))


def _path(
    groups: list[ChannelGroup], counts: list[list[int]], lost: list[list[float]], times: WorkTimes
) -> list[_Point]:
    """Models from all channels to the fewest, the cheapest loss first.

    Args:
        counts: how many classes each group may keep, from most to fewest.
        lost: the loss of each group with each of them.
    """
    at = [0] * len(groups)
    kept: Shares = np.ones(len(groups))
    seconds = times.seconds(kept)
    path = [_Point(dict(zip(groups, (allowed[0] for allowed in counts))), seconds)]
    moves = {index: _best_move(index, at, groups, counts, lost, kept, times) for index in range(len(groups))}
    while any(move is not None for move in moves.values()):
        _, index, place, gain = min(move for move in moves.values() if move is not None)
        at[index] = place
        kept[index] = counts[index][place] / len(groups[index].classes)
        seconds -= gain
        path.append(_Point({group: allowed[i] for group, allowed, i in zip(groups, counts, at)}, seconds))
        for other in times.neighbours(index) | {index}:
            moves[other] = _best_move(other, at, groups, counts, lost, kept, times)
    return path


def _losses(scores: Scores, allowed: list[int], layers: int | None) -> list[float]:
    """The loss of each number of classes that are kept; without ``layers`` the sum of the scores that go."""
    sums = np.concatenate([[0.0], np.cumsum(np.sort(scores))])
    gone = np.array([sums[len(scores) - count] for count in allowed])
    if layers is not None:
        kept = 1 - gone / max(float(sums[-1]), np.finfo(np.float64).tiny)
        gone = -layers * np.log(np.maximum(kept, np.finfo(np.float64).tiny))
    return [float(loss) for loss in gone]


_Move = tuple[float, int, int, float]
"""Score lost per second saved, the group, its new place in its allowed counts, seconds saved."""


def _best_move(
    index: int,
    at: list[int],
    groups: list[ChannelGroup],
    counts: list[list[int]],
    lost: list[list[float]],
    kept: Shares,
    times: WorkTimes,
) -> _Move | None:
    best: _Move | None = None
    for place in range(at[index] + 1, min(at[index] + 1 + _MOST_STEPS_AHEAD, len(counts[index]))):
        gain = times.gain(kept, index, counts[index][place] / len(groups[index].classes))
        loss = lost[index][place] - lost[index][at[index]]
        # What saves nothing goes last.
        move = (loss / gain if gain > 0 else float("inf"), index, place, gain)
        best = move if best is None else min(best, move)
    return best


def _shown(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
