"""Every case on every runtime, against the interpreter in float64."""

from __future__ import annotations

from typing import Any

import pytest

from tests.numeric.case import Case, runs_of
from tests.numeric.cases import CASES, QUICK
from tests.numeric.runtimes import RUNTIMES, SKIPS
from tests.numeric.tolerance import assert_close

pytestmark = pytest.mark.jit
QUICK_ONLY = ("O0", "O1", "text", "artifact")
"""The lower levels, whose kernels are others, and what differs from -O2 in how the graph or program gets there."""


def parameters() -> list[Any]:
    """All cases on all runtimes, some of them in long runs."""
    return [
        pytest.param(case, runtime, marks=pytest.mark.slow if runtime in QUICK_ONLY and case.name not in QUICK else ())
        for case in CASES
        for runtime in RUNTIMES
    ]


@pytest.mark.parametrize(
    ("case", "runtime"), parameters(), ids=lambda value: value.name if isinstance(value, Case) else value
)
def test_agrees_with_float64(case: Case, runtime: str) -> None:
    if (runtime, case.name) in SKIPS:
        pytest.skip(SKIPS[runtime, case.name])
    run = RUNTIMES[runtime](case.graph())
    for one in runs_of(case):
        assert_close(run(one.feeds), one.truth, one.additions, f"{case.name} on {runtime}")
