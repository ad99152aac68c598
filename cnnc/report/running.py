"""What is found out by running the program on random inputs: times, errors, noise of integer layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnc.compiled_model import CompiledModel
from cnnc.errors import UserError
from cnnc.report.facts import IntegerFact, NumericError
from cnnc.report.integers import integer_facts, with_noise
from cnnc.report.numeric import numeric_errors
from cnnc.report.timing import Times, measured_times
from cnnc.runtime.cuda.target import is_cuda
from cnnc.sample_inputs import sample_inputs

THREADS = 1
"""Of measured runs: predictions and the machine's rates are of one core."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What runs of a program showed, or why not.

    Attributes:
        times: None with a ``times_reason``.
        errors: by the number of the step; none with an ``errors_reason``.
        integers: by the number of the step, without noise if nothing ran.
    """

    times: Times | None
    times_reason: str
    errors: Mapping[int, NumericError]
    errors_reason: str
    integers: Mapping[int, IntegerFact]


def find_out(
    compiled: CompiledModel, kept: frozenset[str], sizes: Mapping[str, int], *, measure: bool, seed: int, no_plan: str
) -> Findings:
    """Run the program, if it can be run here.

    Args:
        kept: names of values that stand in every graph from the import on.
        sizes: of the symbols of input shapes.
        measure: whether it may be run.
        seed: of the random inputs.
        no_plan: why the program does not run with these sizes; "" if it does.
    """
    integers, reason = integer_facts(compiled), _refusal(compiled, measure, no_plan)
    if reason:
        return Findings(None, reason, {}, reason, integers)
    feeds = sample_inputs(compiled.graph, seed, sizes)
    try:
        times = measured_times(compiled, feeds, THREADS)
    except UserError as error:
        reason = f"it does not run on random inputs: {error}"
        return Findings(None, reason, {}, reason, integers)
    noisy = with_noise(integers, compiled, sizes, feeds)
    try:
        return Findings(times, "", numeric_errors(compiled, kept, sizes, feeds), "", noisy)
    except UserError as error:
        return Findings(times, "", {}, str(error), noisy)


def _refusal(compiled: CompiledModel, measure: bool, no_plan: str) -> str:
    if not measure:
        return "measuring was left out"
    if is_cuda(compiled.target):
        return "programs for a GPU are not run; their times are predictions of the cost model"
    return no_plan
