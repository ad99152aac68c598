"""What ``cnnc prune`` tells: what is left of every layer, and what a sensitivity scan found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.cli.console import byte_count, note, print_table

if TYPE_CHECKING:
    from cnnc.pruning import Pruned, Recovery, Sensitivity, WeightReport


@dataclass(frozen=True, slots=True)
class Scores:
    """How good the model is.

    Attributes:
        metric: what the scores are: top-1, agreement with the dense model, or a score of the user's.
        dense, pruned: before and after.
        recovered: after recovery on samples; None without it.
    """

    metric: str
    dense: float
    pruned: float
    recovered: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that there is to tell.

    Attributes:
        scores: None where nothing was evaluated.
        before_file, after_file: bytes of the files, with external data; None where the model came from none.
    """

    pruned: Pruned
    scores: Scores | None
    before_file: int | None
    after_file: int


def report_json(facts: Facts) -> dict[str, Any]:
    """The report for programs."""
    sums, settings = facts.pruned.totals, facts.pruned.settings
    return {
        "pattern": settings.pattern,
        "criterion": settings.criterion,
        "scope": settings.scope,
        "sparsity": sums.sparsity,
        "pruned_weights": sums.pruned_weights,
        "pruned_kept": sums.pruned_kept,
        "pruned_sparsity": sums.pruned_sparsity,
        "weights": sums.weights,
        "nonzero": sums.nonzero,
        "layers": [
            {
                "layer": weight.layer,
                "weight": weight.name,
                "op": weight.op,
                "shape": list(weight.shape),
                "kept": weight.kept,
                "nonzero": weight.nonzero,
                "total": weight.total,
                "density": weight.density,
                "dense_because": weight.why,
            }
            for weight in facts.pruned.weights
        ],
        "scores": None
        if facts.scores is None
        else {
            "metric": facts.scores.metric,
            "dense": facts.scores.dense,
            "pruned": facts.scores.pruned,
            "recovered": facts.scores.recovered,
        },
        "recovery": None if facts.pruned.recovery is None else _recovery_json(facts.pruned.recovery),
        "file": {"before": facts.before_file, "after": facts.after_file},
    }


def _recovery_json(recovery: Recovery) -> dict[str, Any]:
    return {
        "decibels_before": _finite(recovery.before),
        "decibels_after": _finite(recovery.after),
        "normalizations": recovery.normalizations,
        "layers": [
            {"layer": fit.layer, "error_before": _finite(fit.before), "error_after": _finite(fit.after), "why": fit.why}
            for fit in recovery.fits
        ],
    }


def _show_recovery(recovery: Recovery) -> None:
    """The relative error of every layer's result before and after."""
    rows = [
        (fit.layer, "", "", f"not fitted: {fit.why}")
        if fit.why
        else (fit.layer, f"{fit.before:.2%}", f"{fit.after:.2%}", "")
        for fit in recovery.fits
    ]
    title = "error of layers on the samples, reading what the recovered network makes of them"
    print_table(["layer", "pruned>", "recovered>", ""], rows, title=title)


def show(facts: Facts) -> None:
    """The report as tables."""
    if facts.pruned.recovery is not None and facts.pruned.recovery.fits:
        _show_recovery(facts.pruned.recovery)
    sums, pattern = facts.pruned.totals, facts.pruned.settings.pattern
    total = (
        "all layers",
        "",
        "",
        f"{sums.nonzero:,}",
        f"{sums.weights:,}",
        f"{_share(sums.nonzero, sums.weights)}",
        "",
    )
    print_table(
        ["layer", "op", "weights", "not 0>", "of>", "density>", "pattern"],
        [_row(weight, pattern) for weight in facts.pruned.weights],
        total=total,
    )
    empty = [weight.layer for weight in facts.pruned.weights if weight.total and not weight.nonzero]
    if empty:
        names = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
        note(f"nothing is left of {names}: --max-layer-sparsity 0.98 keeps some of every layer")


def sentence(facts: Facts) -> str:
    """What became of the model."""
    sums = facts.pruned.totals
    parts = [f"{sums.pruned_sparsity:.2%} of {sums.pruned_weights:,} weights went"]
    if sums.weights > sums.pruned_weights:
        parts.append(f"{sums.sparsity:.2%} of all {sums.weights:,} are 0")
    if facts.scores is not None:
        scores = facts.scores
        stages = [scores.dense, scores.pruned, *([] if scores.recovered is None else [scores.recovered])]
        parts.append(f"{scores.metric} {' -> '.join(f'{score:.4f}' for score in stages)}")
    if facts.pruned.recovery is not None:
        before, after = facts.pruned.recovery.before, facts.pruned.recovery.after
        parts.append(f"results {_number(before, 1)} -> {_number(after, 1)} dB")
    parts.append(byte_count(facts.after_file))
    return ", ".join(parts)


def sensitivity_json(found: Sensitivity) -> dict[str, Any]:
    """A scan for programs."""
    return {
        "metric": found.metric,
        "dense": _finite(found.dense),
        "ratios": list(found.ratios),
        "layers": [
            {"layer": found.layers[name], "weight": name, "scores": [_finite(score) for score in scores]}
            for name, scores in found.scores.items()
        ],
    }


def show_sensitivity(found: Sensitivity) -> None:
    """A scan as a table, the layer that falls first on top."""
    digits = 1 if found.metric.endswith("dB") else 4
    rows = [
        (found.layers[name], *(_number(score, digits) for score in scores))
        for name, scores in sorted(found.scores.items(), key=lambda item: item[1][::-1])
    ]
    dense = "" if math.isinf(found.dense) else f", {found.dense:.4f} of the dense model"
    title = f"{found.metric} with one layer pruned{dense}"
    print_table(["layer", *(f"{ratio:g}>" for ratio in found.ratios)], rows, title=title)


def _row(weight: WeightReport, pattern: str) -> tuple[str, ...]:
    shape = "x".join(map(str, weight.shape))
    what = f"dense: {weight.why}" if weight.why else pattern
    counts = f"{weight.nonzero:,}", f"{weight.total:,}", _share(weight.nonzero, weight.total)
    return weight.layer, weight.op, shape, *counts, what


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "exact"


def _finite(value: float) -> float | None:
    """JSON knows no infinity."""
    return value if math.isfinite(value) else None
