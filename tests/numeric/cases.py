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
SYMBOLIC: tuple[Case, ...] = tuple(case for case in CASES if len(case.sizes) > 1)
