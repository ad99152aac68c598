"""A planted pass, or one rewrite of many, is found; what is right is not accused. No kernel is compiled but LeNet's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnc import interp
from cnnc.bisection import bisect_results
from cnnc.compiler import read_graph
from cnnc.errors import OptionError
from cnnc.ir import Graph, clone_graph
from cnnc.options import Options
from cnnc.sample_inputs import sample_inputs
from tests.bisection.faults import BreakTypes, NegateOnce, ScaleConvolutions, pipeline_with
from tests.cli.command_line import LENET

RESNET = LENET.with_name("resnet14_fashion-bn.onnx")


@pytest.fixture(scope="module")
def resnet() -> Graph:
    return read_graph(RESNET)


@pytest.mark.parametrize("wrong", [1, 6, 12])
def test_the_wrong_rewrite_of_many_is_named(resnet: Graph, wrong: int) -> None:
    convolutions = [node for node in resnet.nodes if node.op == "conv"]
    finding = bisect_results(resnet, passes=pipeline_with(ScaleConvolutions(wrong)))
    guilty = finding.guilty_pass
    assert finding.kind == "pass" and guilty is not None
    assert (guilty.name, guilty.rule, guilty.rewrite) == ("scale-convolutions", "scale", wrong)
    assert guilty.rewrites == len(convolutions) and guilty.is_exact
    assert guilty.origins[:1] == convolutions[wrong - 1].loc
    [before], [after] = ([line for line in lines if "conv(" in line] for lines in (guilty.before, guilty.after))
    assert f"%scaled_{wrong}" in after and f"%scaled_{wrong}" not in before
    # Nothing is compiled while the interpreter can tell; passes and rewrites are halved.
    assert finding.compiles == 0
    assert len(finding.steps) <= 1 + math.ceil(math.log2(20)) + math.ceil(math.log2(guilty.rewrites))


def test_the_limit_reproduces_it(resnet: Graph) -> None:
    guilty = bisect_results(resnet, passes=pipeline_with(ScaleConvolutions(4))).guilty_pass
    assert guilty is not None
    from cnnc.ir import Notes
    from cnnc.passes import PassManager

    feeds = sample_inputs(resnet)
    right = interp.run(resnet, feeds, float64=True)
    for limit, agrees in ((guilty.limit - 1, True), (guilty.limit, False)):
        graph = clone_graph(resnet)
        PassManager(pipeline_with(ScaleConvolutions(4)), rewrite_limit=limit).run(graph, Notes())
        [(name, got)] = interp.run(graph, feeds, float64=True).items()
        assert np.allclose(got, right[name], atol=1e-3) == agrees


def test_the_reduced_graph_shows_the_fault(resnet: Graph) -> None:
    finding = bisect_results(resnet, passes=pipeline_with(ScaleConvolutions(1)))
    assert finding.shows_fault and finding.graph is not None
    assert len(finding.graph) == 1 and next(finding.graph.nodes).op == "conv"
    assert finding.graph.stage == "normalised"


def test_a_pass_without_counted_rewrites_is_named_as_a_whole(resnet: Graph) -> None:
    finding = bisect_results(resnet, passes=pipeline_with(NegateOnce(), "fuse-conv-residual"))
    guilty = finding.guilty_pass
    assert guilty is not None and (guilty.name, guilty.rewrite, guilty.limit) == ("negate-once", 0, 0)
    assert any("const" in line for line in guilty.before)


def test_a_pass_that_breaks_the_graph_is_named(resnet: Graph) -> None:
    finding = bisect_results(resnet, passes=pipeline_with(BreakTypes()))
    guilty = finding.guilty_pass
    assert guilty is not None and guilty.name == "break-types"
    assert any("it fails" in line for line in guilty.after)


def test_a_reference_that_the_imported_graph_contradicts(resnet: Graph) -> None:
    feeds = sample_inputs(resnet)
    right = interp.run(resnet, feeds)
    finding = bisect_results(resnet, feeds, reference={name: array + 1 for name, array in right.items()})
    assert finding.kind == "import" and finding.is_wrong
    with pytest.raises(OptionError, match="lacks output"):
        bisect_results(resnet, feeds, reference={})


@pytest.mark.jit
def test_nothing_is_wrong() -> None:
    finding = bisect_results(LENET)
    assert finding.kind == "nothing" and not finding.is_wrong
    assert (len(finding.steps), finding.compiles) == (2, 1)


def test_what_is_not_bisected(resnet: Graph) -> None:
    with pytest.raises(OptionError, match="level 3"):
        bisect_results(resnet, options=Options(3))
    with pytest.raises(OptionError, match="GPUs"):
        bisect_results(resnet, options=Options(target="cuda:sm_80"))
