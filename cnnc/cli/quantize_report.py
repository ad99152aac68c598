"""What ``cnnc quantize`` tells: the layers, what was measured to choose them, and the bytes that were saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.cli.console import byte_count, note, print_table, say

if TYPE_CHECKING:
    from cnnc.quantization import LayerReport, Mixed, Quantized, Storage


@dataclass(frozen=True, slots=True)
class Facts:
    """All that there is to tell.

    Attributes:
        layers: the noisiest first.
        mixed: what was measured for a budget; None without one.
        before, after: bytes of the constants.
        before_file, after_file: bytes of the files, with external data; None where the model came from none.
    """

    quantized: Quantized
    layers: Sequence[LayerReport]
    mixed: Mixed | None
    before: Storage
    after: Storage
    before_file: int | None
    after_file: int

    @property
    def saved(self) -> float:
        """Share of the bytes of all constants."""
        return 1 - self.after.total / self.before.total if self.before.total else 0.0


def report_json(facts: Facts) -> dict[str, Any]:
    """The report for programs."""
    made = facts.quantized
    return {
        "layers": made.layers,
        "layer_reports": [_layer_json(layer) for layer in facts.layers],
        "float_layers": dict(made.excluded),
        "budget": None if facts.mixed is None else _mixed_json(facts.mixed),
        "weight_bytes": {"before": facts.before.total, "after": facts.after.total},
        "storage": {
            "before": _storage_json(facts.before, facts.before_file),
            "after": _storage_json(facts.after, facts.after_file),
        },
        "activations": {
            name: {
                "low": low,
                "high": high,
                "scale": made.affines[name].scale,
                "zero_point": made.affines[name].zero_point,
            }
            for name, (low, high) in made.ranges.items()
        },
    }


def show(facts: Facts, exclude: tuple[str, ...]) -> None:
    """The report as tables."""
    _show_layers(facts)
    unused = [text for text in exclude if not any(repr(text) in why for why in facts.quantized.in_float.values())]
    if unused:
        note(f"--exclude {', '.join(unused)} names no layer")
    if facts.mixed is not None:
        _show_mixed(facts.mixed)
    _show_storage(facts)


def _show_layers(facts: Facts) -> None:
    is_timed = facts.mixed is not None
    rows = []
    for layer in facts.layers:
        row: list[object] = [layer.name, layer.op, "int8" if layer.is_integer else "float", _decibels(layer.sqnr)]
        if is_timed:
            row += [_decibels(layer.sqnr_alone), _micros(layer.float_seconds), _micros(layer.integer_seconds)]
        rows.append([*row, layer.why])
    measured = ["alone dB>", "float us>", "int8 us>"] if is_timed else []
    print_table(["layer", "op", "is", "SQNR dB>", *measured, "why"], rows, title="layers, the noisiest first")


def _show_mixed(mixed: Mixed) -> None:
    print_table(
        ["program", "ms>", "", "score>"],
        [
            (
                name,
                f"{seconds * 1e3:.3f}",
                "taken" if name == mixed.chosen else "",
                f"{mixed.scores[name]:.4f}",
            )
            for name, seconds in mixed.seconds.items()
        ],
        title="whole programs within the budget, one sample",
    )
    if "all int8" not in mixed.seconds:
        say(f"all int8: scores {mixed.scores['all int8']:.4f}, not within the budget")


def _show_storage(facts: Facts) -> None:
    before, after = facts.before, facts.after
    rows = [
        ("weights", before.weights, after.weights),
        ("biases", before.biases, after.biases),
        ("scales and zero points", before.scales, after.scales),
        ("other constants", before.other, after.other),
    ]
    total = ("all constants", byte_count(before.total), byte_count(after.total), f"{facts.saved:.1%}")
    print_table(
        ["what", "before>", "after>", "less>"],
        [(what, byte_count(old), byte_count(new), _less(old, new)) for what, old, new in rows],
        total=total,
    )


def _less(before: int, after: int) -> str:
    return f"{1 - after / before:.1%}" if before and after <= before else ""


def _decibels(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if math.isfinite(value) else "exact"


def _micros(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:.1f}"


def _finite(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return value if value is not None and math.isfinite(value) else None


def _layer_json(layer: LayerReport) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "result": layer.result,
        "op": layer.op,
        "is_integer": layer.is_integer,
        "sqnr_db": _finite(layer.sqnr),
        "sqnr_alone_db": _finite(layer.sqnr_alone),
        "float_seconds": layer.float_seconds,
        "integer_seconds": layer.integer_seconds,
        "why": layer.why,
    }


def _mixed_json(mixed: Mixed) -> dict[str, Any]:
    return {
        "chosen": mixed.chosen,
        "float_score": mixed.scores["float32"],
        "score": mixed.scores[mixed.chosen],
        "scores": dict(mixed.scores),
        "seconds": dict(mixed.seconds),
    }


def _storage_json(storage: Storage, file: int | None) -> dict[str, Any]:
    return {
        "weights": storage.weights,
        "integer_weights": storage.integer_weights,
        "biases": storage.biases,
        "scales": storage.scales,
        "other": storage.other,
        "total": storage.total,
        "file": file,
    }
