"""The numeric suite on a GPU, against the interpreter in float64; and that the host is left no more than by the CPU."""

from __future__ import annotations

from collections import Counter

import pytest

from cnnc.compiler import CompiledModel, compile
from cnnc.runtime.program import HostStep
from tests.cuda.devices import program_device
from tests.numeric.case import Case, runs_of
from tests.numeric.cases import CASES
from tests.numeric.runtimes import session_run
from tests.numeric.tolerance import assert_close

pytestmark = pytest.mark.jit


def host_ops(compiled: CompiledModel) -> Counter[str]:
    """How many nodes of each op the host computes."""
    return Counter(step.op for step in compiled.executable.program.steps if isinstance(step, HostStep))


@pytest.mark.parametrize("level", [pytest.param(0, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_agrees_with_float64(case: Case, level: int) -> None:
    pytest.importorskip("numba_cuda")
    device = program_device()
    compiled = compile(case.graph(), level=level, target=f"cuda:{device.architecture}")
    run = session_run(compiled.session(device=device))
    for one in runs_of(case):
        assert_close(run(one.feeds), one.truth, one.additions, f"{case.name} on {device.name}")
    assert not host_ops(compiled) - host_ops(compile(case.graph(), level=level))
