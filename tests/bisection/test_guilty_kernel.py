"""A planted wrong kernel is found in its layer; NumPy functions can take the place of any kernels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnc import interp, models
from cnnc.bisection import bisect_command, bisect_results
from cnnc.bisection.host_nodes import with_plain_nodes
from cnnc.compiler import CompiledModel, compile
from cnnc.errors import OptionError
from cnnc.ir import verify
from cnnc.lower import cpu_rules, lower
from cnnc.lower.selection import Selection
from cnnc.sample_inputs import sample_inputs
from tests.bisection.faults import dense_layers, rules_that_forget_activations
from tests.cli.command_line import LENET


@pytest.fixture(scope="module")
def lenet() -> CompiledModel:
    return compile(LENET)


@pytest.mark.parametrize("kept", [0, 1, 2, 4, 7])
def test_nodes_on_the_host_compute_the_same(lenet: CompiledModel, kept: int) -> None:
    hosted = list(lenet.graph.nodes)[kept:]
    graph = with_plain_nodes(lenet.graph, {node.output.name for node in hosted})
    verify(graph)
    feeds = sample_inputs(graph)
    assert np.array_equal(interp.run(graph, feeds)["logits"], interp.run(lenet.graph, feeds)["logits"])
    pinned = {node.output.name: "host" for node in hosted if node.op != "convert_layout"}
    chosen = [decision.chosen for decision in lower(graph, lenet.target, Selection(pinned=pinned)).decisions]
    assert chosen.count("host") == len(pinned)
    assert any(node.op == "convert_layout" for node in graph.nodes) == (kept >= 1)


def test_pieces_of_concats_become_plain_too() -> None:
    model = compile(models.model("shufflenet_v2_x0_5"))
    nodes = list(model.graph.nodes)
    assert any(node.output.type.layout.pieces for node in nodes)
    for kept in (0, 20, 53):
        graph = with_plain_nodes(model.graph, {node.output.name for node in nodes[kept:]})
        verify(graph)
        pinned = {node.output.name: "host" for node in nodes[kept:] if node.op != "convert_layout"}
        chosen = [decision.chosen for decision in lower(graph, model.target, Selection(pinned=pinned)).decisions]
        assert chosen.count("host") == len(pinned)


def test_a_pinned_rule_is_taken_or_nothing(lenet: CompiledModel) -> None:
    node = next(node for node in lenet.graph.nodes if "/c1/Conv" in node.loc)
    pinned = {node.output.name: "conv.f32.blocked.direct"}
    assert lower(lenet.graph, lenet.target, Selection(pinned=pinned)).decisions[0].chosen == "conv.f32.blocked.direct"


@pytest.mark.jit
def test_a_wrong_kernel_is_named_with_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_rules, "RULES", rules_that_forget_activations("gemm", "dense4"))
    finding = bisect_results(dense_layers(6))
    guilty = finding.guilty_kernel
    assert finding.kind == "kernel" and guilty is not None
    assert (guilty.op, guilty.node, guilty.kernel) == ("gemm", "dense4", "gemm.f32")
    found = {rule: judgement.verdict.value for rule, judgement in guilty.others}
    assert found == {"matmul.f32": "bad", "host": "good"}
    assert guilty.options == ()  # what -O1 takes forgets the activation too
    assert finding.shows_fault and finding.graph is not None and len(finding.graph) == 1
    # The program, the other level's kernels, no kernels, the search, and other kernels for the layer.
    assert finding.compiles <= 3 + math.ceil(math.log2(6)) + len(guilty.others)


def test_a_command_that_fails_on_a_rewrite() -> None:
    """It looks for the label of a fused step in the file: no kernel is needed for that."""
    seen: list[str] = []
    command = """sh -c '! grep -aq "/c2/Conv, /Relu_1" "$0"' {model}"""
    finding = bisect_command(LENET, command, on_step=lambda step: seen.append(str(step)))
    guilty = finding.guilty_pass
    assert guilty is not None and guilty.name == "fuse-conv-activation"
    assert guilty.origins == ("/c2/Conv", "/Relu_1")
    assert len(seen) == len(finding.steps) and seen[0] == "all passes: bad (exit code 1)"
    assert finding.compiles == len(finding.steps) <= 2 + math.ceil(math.log2(20)) + 2


def test_commands_and_their_exit_codes() -> None:
    assert bisect_command(LENET, "test -f {model}").kind == "nothing"
    assert bisect_command(LENET, "sh -c 'exit 125' {model}").kind == "nothing"
    with pytest.raises(OptionError, match="ended with 200"):
        bisect_command(LENET, "sh -c 'exit 200' {model}")
    with pytest.raises(OptionError, match="killed by signal"):
        bisect_command(LENET, "sh -c 'kill -9 $$' {model}")
    with pytest.raises(OptionError, match="does not run"):
        bisect_command(LENET, "/no/such/program {model}")
    with pytest.raises(OptionError, match="does not name"):
        bisect_command(LENET, "true")
    with pytest.raises(OptionError, match="quotes"):
        bisect_command(LENET, "true '{model}")


def test_a_command_that_always_fails_accuses_no_kernel() -> None:
    finding = bisect_command(LENET, "false {model}")
    assert finding.kind == "program" and "neither a pass nor a kernel" in finding.what
