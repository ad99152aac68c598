"""How far two results may be apart, and how far they are.

The error of a float output is its largest absolute difference from the reference over the standard deviation of the
reference. Outputs of one element, or of equal elements, are judged relative to max(1, |value|). Integers must be equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LIMITS = {0: 1e-4, 1: 1e-4, 2: 1e-3, 3: 1e-3}
"""Largest error by optimisation level: levels 2 and 3 use Winograd's algorithm, which rounds more."""

OWN_ERROR_FACTOR = {0: 2.0, 1: 2.0, 2: 4.0, 3: 4.0}
"""With a float64 reference, this multiple of onnxruntime's own error is allowed as well."""

QUANTIZED_SHARE = 1e-3
"""Share of the elements of a quantised model's output that may be more than one quantisation step apart: integer
kernels round ties of different sums differently."""

QUANTIZED_OPS = frozenset(
    {
        "quantize_linear",
        "dynamic_quantize_linear",
        "q_linear_conv",
        "q_linear_matmul",
        "conv_integer",
        "matmul_integer",
    }
)


@dataclass(frozen=True, slots=True)
class OutputCheck:
    """The verdict on one output: ``problem`` is "" or one sentence.

    Attributes:
        max_error, mean_error: in standard deviations of the reference; None where shapes differ.
        max_difference: largest absolute difference.
    """

    name: str
    limit: float
    max_error: float | None
    mean_error: float | None
    max_difference: float | None
    problem: str = ""


def errors_of(got: Array, reference: Array) -> tuple[float, float, float]:
    """(max error, mean error, largest absolute difference) of arrays of one shape; NaN and infinities must agree."""
    wide_got, wide = np.asarray(got, np.float64), np.asarray(reference, np.float64)
    if not wide.size:
        return 0.0, 0.0, 0.0
    with np.errstate(invalid="ignore"):
        same = (wide_got == wide) | (np.isnan(wide_got) & np.isnan(wide))
        difference = np.where(same, 0.0, np.abs(wide_got - wide))
    difference = np.where(np.isnan(difference), np.inf, difference)
    finite = wide[np.isfinite(wide)]
    spread = float(np.std(finite)) if finite.size else 0.0
    if wide.size == 1 or spread < 1e-12:
        magnitude = np.abs(np.where(np.isfinite(wide), wide, 0.0))
        relative = difference / np.maximum(1.0, magnitude)
        return float(relative.max()), float(relative.mean()), float(difference.max())
    return float(difference.max()) / spread, float(difference.mean()) / spread, float(difference.max())


def check_output(name: str, got: Array, reference: Array, limit: float, *, quantized: bool = False) -> OutputCheck:
    """Judge one output.

    Args:
        quantized: the model computes in integers inside: a few elements may be one step apart.
    """
    if got.shape != reference.shape:
        return OutputCheck(name, limit, None, None, None, f"shape {got.shape}, expected {reference.shape}")
    highest, mean, difference = errors_of(got, reference)
    problem = ""
    if quantized:
        problem = _quantized_problem(got, reference)
    elif reference.dtype.kind in "iub":
        count = int(np.count_nonzero(got != reference))
        problem = f"{count} of {reference.size} integers differ" if count else ""
    elif not highest <= limit:
        problem = f"error {highest:.1e} is above {limit:.1e}"
    return OutputCheck(name, limit, highest, mean, difference, problem)


def limits_by_output(level: int, own: Mapping[str, float]) -> dict[str, float]:
    """The limit of each output of a level, given onnxruntime's own error on it (0 where it is the reference)."""
    return {name: max(LIMITS[level], OWN_ERROR_FACTOR[level] * error) for name, error in own.items()}


def _quantized_problem(got: Array, reference: Array) -> str:
    values = np.unique(reference)
    step = float(np.min(np.diff(values.astype(np.float64)))) if values.size > 1 else 1.0
    apart = np.abs(got.astype(np.float64) - reference.astype(np.float64)) > step * 1.001
    share = float(np.mean(apart)) if apart.size else 0.0
    if share > QUANTIZED_SHARE:
        return f"{share:.2%} of elements are more than one quantisation step apart"
    return ""
