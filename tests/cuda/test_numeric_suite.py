"""The numeric suite on a GPU, against the interpreter in float64; and that the host is left no more than by the CPU."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cnnc.compiler import CompiledModel, compile
from cnnc.runtime.program import HostStep
from tests.cuda.devices import program_device
from tests.numeric.case import Case, runs_of
from tests.numeric.cases import CASES, QUICK
from tests.numeric.runtimes import session_run
from tests.numeric.tolerance import assert_close

pytestmark = pytest.mark.jit


def host_ops(compiled: CompiledModel) -> Counter[str]:
    """How many nodes of each op the host computes."""
    return Counter(step.op for step in compiled.executable.program.steps if isinstance(step, HostStep))


def parameters() -> list[Any]:
    return [
        pytest.param(case, level, marks=() if level == 2 and case.name in QUICK else pytest.mark.slow)
        for case in CASES
        for level in (0, 2)
    ]


@pytest.mark.parametrize(
    ("case", "level"), parameters(), ids=lambda value: value.name if isinstance(value, Case) else f"O{value}"
)
def test_agrees_with_float64(case: Case, level: int) -> None:
    pytest.importorskip("numba_cuda")
    device = program_device()
    compiled = compile(case.graph(), level=level, target=f"cuda:{device.architecture}")
    run = session_run(compiled.session(device=device))
    for one in runs_of(case):
        assert_close(run(one.feeds), one.truth, one.additions, f"{case.name} on {device.name}")
    assert not host_ops(compiled) - host_ops(compile(case.graph(), level=level))
