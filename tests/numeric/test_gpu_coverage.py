"""What has a kernel on the CPU has one on GPUs."""

from __future__ import annotations

import pytest

from cnnc.compiler import compile
from tests.numeric.case import Case
from tests.numeric.cases import CASES


def ops_on_host(case: Case, target: str) -> set[str]:
    model = compile(case.graph(), target=target)
    return {decision.op for decision in model.lowered.decisions if decision.chosen == "host"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_op_falls_to_the_host_that_has_a_kernel_on_the_cpu(case: Case) -> None:
    assert ops_on_host(case, "cuda:sm_80") <= ops_on_host(case, "cpu")
