"""What costs time is found with a stopwatch that tells made-up times; nothing is compiled to machine code."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.bisection import Judgement, Verdict, bisect_time
from cnnc.bisection.guilty_kernel import find_guilty_kernel
from cnnc.bisection.trial import Trial
from cnnc.compiler import CompiledModel
from cnnc.ir import Graph
from cnnc.lower import Lowered
from cnnc.ops import OPS
from cnnc.ops.conv import ConvAttrs
from cnnc.options import Options
from cnnc.types import DType, TensorType
from tests.bisection.faults import ToldTimes
from tests.cli.command_line import LENET


def fused(program: Lowered, origin: str) -> bool:
    """Whether something was fused into the node from ``origin``."""
    return any(decision.loc[0] == origin and len(decision.loc) > 1 for decision in program.decisions)


def layers(count: int) -> Graph:
    """Convolutions that Winograd's method takes."""
    graph, rng = Graph(OPS), np.random.default_rng(0)
    x = graph.add_input("x", TensorType((1, 64, 56, 56), DType.F32))
    for index in range(count):
        weight = graph.add_constant(0.01 * rng.standard_normal((64, 64, 3, 3)).astype(np.float32), f"w{index}")
        x = graph.add_node("conv", [x, weight], ConvAttrs(pads=(1, 1, 1, 1)), loc=(f"conv{index}",)).output
    graph.set_outputs([x], ["y"])
    return graph


def test_the_rewrite_that_costs_time_is_named() -> None:
    stopwatch = ToldTimes(lambda program: 1.5 if fused(program, "/c2/Conv") else 1.0)
    finding = bisect_time(LENET, stopwatch=stopwatch)
    guilty = finding.guilty_pass
    assert guilty is not None and guilty.name == "fuse-conv-activation"
    assert guilty.origins == ("/c2/Conv", "/Relu_1") and guilty.is_exact
    assert stopwatch.measured == len(finding.steps)
    assert "9 rounds" in str(finding.steps[0])


def test_what_gains_of_others_hide_is_found_pass_by_pass() -> None:
    def seconds(program: Lowered) -> float:
        return 0.1 * len(program.decisions) + (0.15 if fused(program, "/c2/Conv") else 0)

    hidden = bisect_time(LENET, stopwatch=ToldTimes(seconds))
    assert hidden.kind == "nothing"
    # It costs less than the other activations gain: measured behind each pass, the fusion as a whole is no suspect.
    assert bisect_time(LENET, stopwatch=ToldTimes(seconds), every_pass=True).kind == "nothing"

    def dearer(program: Lowered) -> float:
        has_flatten = any(decision.op == "flatten" for decision in program.decisions)
        return 10.0 + 5.0 * has_flatten + 2.0 * fused(program, "/c2/Conv")

    assert bisect_time(LENET, stopwatch=ToldTimes(dearer)).kind == "nothing"
    guilty = bisect_time(LENET, stopwatch=ToldTimes(dearer), every_pass=True).guilty_pass
    assert guilty is not None and guilty.name == "fuse-conv-activation" and "/c2/Conv" in guilty.origins


@pytest.mark.parametrize("slow", [0, 2])
def test_the_layer_whose_kernel_costs_time_is_named(slow: int) -> None:
    def seconds(program: Lowered) -> float:
        return 1.0 + sum(
            0.4 if decision.node == f"conv{slow}" else -0.001
            for decision in program.decisions
            if "winograd" in decision.chosen
        )

    stopwatch = ToldTimes(seconds)
    finding = bisect_time(layers(3), stopwatch=stopwatch)
    guilty = finding.guilty_kernel
    assert guilty is not None and guilty.node == f"conv{slow}"
    assert "winograd" in guilty.kernel and guilty.options == ("--winograd off",)
    assert finding.compiles <= 3 + 2


@pytest.mark.parametrize("wrong", [0, 2])
def test_a_wrong_kernel_of_a_method_is_searched_among_its_layers(wrong: int) -> None:
    def judge(model: CompiledModel) -> Judgement:
        kernels = {decision.node: decision.chosen for decision in model.lowered.decisions}
        return Judgement(Verdict.BAD if "winograd" in kernels[f"conv{wrong}"] else Verdict.GOOD)

    trial = Trial(layers(3), Options())
    guilty = find_guilty_kernel(trial, judge, trial.whole())
    assert guilty is not None and guilty.node == f"conv{wrong}" and "winograd" in guilty.kernel
    assert guilty.options == ("--winograd off", "-O1")
    assert {judgement.verdict for _, judgement in guilty.others} == {Verdict.GOOD}
    assert "winograd for 1 of 3 layers that take it" in {step.what for step in trial.steps}


def test_nothing_is_slow() -> None:
    finding = bisect_time(layers(1), stopwatch=ToldTimes(lambda program: 1.0 * len(program.decisions)))
    assert finding.kind == "nothing" and not finding.is_wrong
