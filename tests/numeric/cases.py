"""All numeric test cases, one module an op family."""

from __future__ import annotations

from tests.numeric import (
    conv_cases,
    elementwise_cases,
    movement_cases,
    reducing_cases,
    symbolic_cases,
    window_cases,
)
from tests.numeric.case import Case

CASES: tuple[Case, ...] = tuple(
    case
    for family in (conv_cases, window_cases, elementwise_cases, movement_cases, reducing_cases, symbolic_cases)
    for case in family.cases()
)


def _quick_names() -> frozenset[str]:
    """The first case of each kind, which the first two words of its name say, and no case of a dozen kernels."""
    kinds: dict[str, str] = {}
    for case in CASES:
        kinds.setdefault("-".join(case.name.split("-")[:2]), case.name)
    return frozenset(kinds.values()) - {"conv-activations", "one-channel-gates", "image-gated-depthwise"}


QUICK = _quick_names()
"""Names of the cases that every run of the tests takes where a case is dear."""
SYMBOLIC: tuple[Case, ...] = tuple(case for case in CASES if len(case.sizes) > 1)
