"""The numeric suite on the emulated GPU, against the interpreter in float64; and that the host is left no more than by
the CPU.
"""

from __future__ import annotations

from collections import Counter

import pytest

from cnnc.compiler import CompiledModel, compile
from cnnc.emulation import EmulatedDevice
from cnnc.runtime.program import HostStep
from tests.numeric.case import Case, runs_of
from tests.numeric.cases import CASES
from tests.numeric.runtimes import session_run
from tests.numeric.tolerance import assert_close

pytestmark = pytest.mark.jit


def host_ops(compiled: CompiledModel) -> Counter[str]:
    """How many nodes of each op the host computes."""
    return Counter(step.op for step in compiled.executable.program.steps if isinstance(step, HostStep))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_agrees_with_float64(case: Case) -> None:
    pytest.importorskip("numba_cuda")
    compiled = compile(case.graph(), target="cuda:sm_80")
    run = session_run(compiled.session(device=EmulatedDevice()))
    for one in runs_of(case):
        assert_close(run(one.feeds), one.truth, one.additions, f"{case.name} on the emulated GPU")
    assert not host_ops(compiled) - host_ops(compile(case.graph()))
