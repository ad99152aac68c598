"""Every case on every runtime, against the interpreter in float64."""

from __future__ import annotations

import pytest

from tests.numeric.case import Case, runs_of
from tests.numeric.cases import CASES
from tests.numeric.runtimes import RUNTIMES, SKIPS
from tests.numeric.tolerance import assert_close

pytestmark = pytest.mark.jit


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_agrees_with_float64(case: Case, runtime: str) -> None:
    if (runtime, case.name) in SKIPS:
        pytest.skip(SKIPS[runtime, case.name])
    run = RUNTIMES[runtime](case.graph())
    for one in runs_of(case):
        assert_close(run(one.feeds), one.truth, one.additions, f"{case.name} on {runtime}")
