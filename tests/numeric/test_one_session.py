"""One session serves every size: nothing is compiled after it was made, and sizes may alternate."""

from __future__ import annotations

import pytest

from cnnc.compiler import compile
from cnnc.runtime.jit import kernel_library
from cnnc.runtime.kernel import Target, Variant
from tests.numeric.case import Case, runs_of
from tests.numeric.cases import QUICK, SYMBOLIC
from tests.numeric.runtimes import session_run
from tests.numeric.tolerance import assert_close

pytestmark = pytest.mark.jit


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case.name in QUICK else pytest.mark.slow, id=case.name) for case in SYMBOLIC],
)
def test_sizes_alternate_without_compiling(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    run = session_run(compile(case.graph()).session())

    def refuse(variant: Variant, target: Target) -> int:
        raise AssertionError(f"{variant} is compiled after the session was made")

    monkeypatch.setattr(kernel_library, "_load", refuse)
    for one in (*runs_of(case), *reversed(runs_of(case))):
        assert_close(run(one.feeds), one.truth, one.additions, f"{case.name} {sorted(one.feeds)}")
