"""Why a compiled model is what it is: origins, rewrites, kernels and their rivals, and the reasons against others."""

from __future__ import annotations

from cnnc.explanation.explaining import explain
from cnnc.explanation.facts import (
    Explanation,
    KernelCandidate,
    NodeExplanation,
    Origin,
    PrunedLayer,
    RefusedKernel,
    RefusedRewrite,
    Rewrite,
)

__all__ = [
    "Explanation",
    "KernelCandidate",
    "NodeExplanation",
    "Origin",
    "PrunedLayer",
    "RefusedKernel",
    "RefusedRewrite",
    "Rewrite",
    "explain",
]
