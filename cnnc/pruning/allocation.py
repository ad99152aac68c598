"""Ratios become masks: as many weights go as are asked for, the least worthy first, of equal ones the first.

Counts are exact. With single weights round(ratio * weights) of them go, halves up; blocks go as long as that comes
closer to this number. ``layer`` compares the weights of a layer; ``global`` those of all layers that have no ratio of
their own; ``lamp`` compares these, too, by scores of its own. Zeros are worth nothing, so pruning what is pruned
changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cnnc.errors import OptionError
from cnnc.pruning.lamp import lamp
from cnnc.pruning.patterns import Blocks, Bools, Counts, NofM, Worth
from cnnc.pruning.settings import Settings
from cnnc.pruning.weights import Weight


def allocate(
    worth: Mapping[Weight, Worth], ratios: Mapping[Weight, float | None], settings: Settings
) -> dict[Weight, Bools]:
    """Which weights [G, O, I, T] are kept.

    Args:
        worth: of each weight to prune, [G, O, I, T].
        ratios: their own ratios; None: the settings' sparsity.

    Raises:
        OptionError: ``max_layer_sparsity`` does not let as many weights go.
    """
    pattern = settings.parsed_pattern
    if isinstance(pattern, NofM):
        return {weight: pattern.mask(array) for weight, array in worth.items()}
    p = settings.p if settings.criterion == "lp" else 1.0
    kept: dict[Weight, Bools] = {}
    together: dict[Weight, Worth] = {}
    for weight, array in worth.items():
        scores, ratio = pattern.scores(array, p), ratios[weight]
        if ratio is None and settings.scope != "layer":
            together[weight] = lamp(scores) if settings.scope == "lamp" else scores
            continue
        ratio = settings.sparsity if ratio is None else ratio
        assert ratio is not None  # ``select`` leaves layers without a ratio dense
        sizes = _sizes(pattern, scores, array.shape[1])
        kept[weight] = ~_least(scores, sizes, _count(ratio, array.size))
    kept |= _of_all(together, {weight: worth[weight].shape[1] for weight in together}, pattern, settings)
    return {weight: pattern.mask(kept[weight], array.shape[1]) for weight, array in worth.items()}


def _of_all(
    scores: Mapping[Weight, Worth], channels: Mapping[Weight, int], pattern: Blocks, settings: Settings
) -> dict[Weight, Bools]:
    """Which blocks are kept where all layers are compared with each other."""
    if not scores:
        return {}
    assert settings.sparsity is not None
    sizes = {weight: _sizes(pattern, array, channels[weight]) for weight, array in scores.items()}
    weights = sum(int(size.sum(dtype=np.int64)) for size in sizes.values())
    wanted = _count(settings.sparsity, weights)
    limited = [_limited(array, settings.max_layer_sparsity) for array in scores.values()]
    pool = np.concatenate([array.reshape(-1) for array in limited])
    all_sizes = np.concatenate([size.reshape(-1) for size in sizes.values()])
    can_go = int(all_sizes[np.isfinite(pool)].sum(dtype=np.int64))
    if can_go < wanted:
        what = f"a sparsity of {settings.sparsity:g} removes {wanted} of {weights} weights; {can_go} may go"
        hint = "raise max_layer_sparsity, or lower the sparsity"
        raise OptionError(what, where=f"max_layer_sparsity={settings.max_layer_sparsity:g}", hint=hint)
    gone = _least(pool, all_sizes, wanted)
    ends = np.cumsum([array.size for array in scores.values()])[:-1]
    parts = np.split(~gone, ends)
    return {weight: part.reshape(scores[weight].shape) for weight, part in zip(scores, parts, strict=True)}


def _limited(scores: Worth, most: float) -> Worth:
    """Scores of a layer in which what may not go is worth infinity."""
    allowed = math.floor(most * scores.size)
    if allowed == scores.size:
        return scores
    return np.where(_lowest(scores, allowed), scores, np.inf)


def _sizes(pattern: Blocks, scores: Worth, channels: int) -> Counts:
    """Weights of each block, in the shape of the scores [G, B, I, T]."""
    return np.broadcast_to(pattern.sizes(channels)[:, None, None], scores.shape)


def _count(ratio: float, weights: int) -> int:
    return math.floor(ratio * weights + 0.5)


def _least(scores: Worth, sizes: Counts, weights: int) -> Bools:
    """The blocks of least score that together come closest to so many weights; none of infinite score."""
    first = int(sizes.flat[0])
    if (sizes == first).all():
        return _lowest(scores, math.ceil(weights / first - 0.5))
    order = np.argsort(scores, axis=None, kind="stable")
    order = order[: np.count_nonzero(np.isfinite(scores))]
    removed = np.concatenate([[0], np.cumsum(sizes.reshape(-1)[order], dtype=np.int64)])
    chosen: Bools = np.zeros(scores.size, bool)
    chosen[order[: int(np.argmin(np.abs(removed - weights)))]] = True
    return chosen.reshape(scores.shape)


def _lowest(scores: Worth, count: int) -> Bools:
    """The ``count`` lowest scores, of equal ones the first in memory."""
    flat = scores.reshape(-1)
    if not 0 < count < flat.size:
        return np.full(scores.shape, count > 0)
    threshold = np.partition(flat, count - 1)[count - 1]
    chosen: Bools = np.less(flat, threshold)
    equal = np.flatnonzero(flat == threshold)
    chosen[equal[: count - int(np.count_nonzero(chosen))]] = True
    return chosen.reshape(scores.shape)
