"""Plans of whole networks: proven by the checker, close to the lower bound, the same arena for the same sizes."""

from __future__ import annotations

import pytest

from cnnc.dims import symbols
from cnnc.errors import UnsupportedError
from cnnc.runtime.arena_layout import least_bytes, one_after_another
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.plan_checker import check_plan
from cnnc.runtime.planner import Planner
from tests.runtime.zoo import MODELS, compiled_model, needs_zoo

QUICK = ("lenet5_dyn18", "squeezenet1_1", "mobilenet_v2_ts13f")


def judge(name: str) -> None:
    try:
        program = compiled_model(name).executable.program
    except UnsupportedError as error:
        pytest.skip(str(error))
    names = {symbol for port in program.inputs for dim in port.shape for symbol in symbols(dim)}
    planner, naive = Planner(program), Planner(program, one_after_another)
    for size in (1, 3):
        bindings = dict.fromkeys(names, size)
        made = planner.plan(bindings)
        check_plan(program, made, kernel_def)
        check_plan(program, naive.plan(bindings), kernel_def)
        assert least_bytes(made.places) <= made.arena_bytes <= 1.15 * least_bytes(made.places) + 4096
        assert planner.plan(bindings) == made


@needs_zoo
@pytest.mark.parametrize("name", [name for name in QUICK if name in MODELS])
def test_plans_of_a_few_networks(name: str) -> None:
    judge(name)


@pytest.mark.slow
@needs_zoo
@pytest.mark.parametrize("name", [name for name in MODELS if name not in QUICK])
def test_plans_of_the_zoo(name: str) -> None:
    judge(name)
