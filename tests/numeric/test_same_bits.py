"""Results depend on values alone: not on threads, on how work is split, or on what memory held before. And the plans
that say where things lie pass the checker, for both arena layouts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cnnc.compiler import compile
from cnnc.ir import Array
from cnnc.runtime import call, planner
from cnnc.runtime.arena_layout import one_after_another
from cnnc.runtime.call import RunSettings
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.executable import Executable
from cnnc.runtime.executor import Executor
from cnnc.runtime.input_check import bind_shapes
from cnnc.runtime.plan_checker import check_plan
from cnnc.runtime.planner import Planner
from tests.numeric.case import Case, runs_of
from tests.numeric.cases import CASES, QUICK

pytestmark = pytest.mark.jit


def outputs(executor: Executor, feeds: Mapping[str, Array], threads: int) -> list[bytes]:
    ports = executor.program.inputs
    arrays = [feeds[port.name] for port in ports]
    return [array.tobytes() for array in executor.run(arrays, bind_shapes(ports, arrays), RunSettings(threads))]


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case.name in QUICK else pytest.mark.slow, id=case.name) for case in CASES]
)
def test_plans_threads_splits_and_old_memory(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = compile(case.graph()).executable
    for run in runs_of(case):
        check_first_stage(executable, run.feeds)
    alone = Executor(executable)
    expected = [outputs(alone, run.feeds, 1) for run in runs_of(case)]
    # However small: every step is split into the most chunks, and shared.
    monkeypatch.setattr(planner, "MIN_CHUNK_WORK", 1)
    monkeypatch.setattr(call, "SHARE_WORK", 0)
    monkeypatch.setattr(call, "SHARE_SEGMENT_WORK", 0)
    poisoned = Executor(executable, poison=True)
    for run, wanted in zip(runs_of(case), expected, strict=True):
        for threads in (1, 2):
            assert outputs(poisoned, run.feeds, threads) == wanted, f"{threads} threads, {case.name}"


def check_first_stage(executable: Executable, feeds: Mapping[str, Array]) -> None:
    """Prove the plans of both arena layouts. Sizes of later stages are only known when values are."""
    program = executable.program
    bindings = bind_shapes(program.inputs, [feeds[port.name] for port in program.inputs])
    for layout in (Planner(program), Planner(program, one_after_another)):
        check_plan(program, layout.plan(bindings), kernel_def)
