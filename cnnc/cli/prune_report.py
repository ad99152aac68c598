"""What ``cnnc prune`` tells: what is left of every layer, and what a sensitivity scan found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.cli.console import byte_count, note, print_table

if TYPE_CHECKING:
    from cnnc.pruning import Pruned, Sensitivity, WeightReport


@dataclass(frozen=True, slots=True)
class Scores:
    """How good the model is.

    Attributes:
        metric: what the scores are: top-1, agreement with the dense model, or a score of the user's.
        dense, pruned: before and after.
    """

    metric: str
    dense: float
    pruned: float


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
        else {"metric": facts.scores.metric, "dense": facts.scores.dense, "pruned": facts.scores.pruned},
        "file": {"before": facts.before_file, "after": facts.after_file},
    }


def show(facts: Facts) -> None:
    """The report as a table."""
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
        parts.append(f"{scores.metric} {scores.dense:.4f} -> {scores.pruned:.4f}")
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
