"""The stages of a report: what every pass did to the graph."""

from __future__ import annotations

import pytest

import cnnc
from cnnc import models
from cnnc.compiler import compile_graph
from cnnc.options import Options
from cnnc.passes import PIPELINE
from cnnc.report import Report, Settings, collect
from tests.cli.command_line import LENET

QUICK = Settings(measure=False)


@pytest.fixture(scope="module")
def report() -> Report:
    """A pre-activation ResNet, where batch normalizations fold, lower and become prologues. No kernel is compiled."""
    return collect(cnnc.compile(models.model("resnet18_preact")), QUICK)


def test_every_pass_of_the_pipeline_is_a_stage(report: Report) -> None:
    names = [row.partition("{")[0] for lowest, row, _ in PIPELINE if lowest <= 2]
    assert [stage.name for stage in report.stages] == ["imported", *names]
    assert [stage.why for stage in report.stages[1:]] == [why for lowest, _, why in PIPELINE if lowest <= 2]
    assert report.stages[-1].options.startswith("block=")


def test_differences_lead_from_each_graph_to_the_next(report: Report) -> None:
    for before, after in zip(report.stages, report.stages[1:]):
        old, new = (set(report.graphs[stage.graph].nodes) for stage in (before, after))
        gone = {*after.removed, *(pair[0] for pair in after.changed)}
        come = {*after.added, *(pair[1] for pair in after.changed)}
        assert old - new == gone
        assert new - old == come


def test_changed_nodes_keep_their_key(report: Report) -> None:
    changed = [pair for stage in report.stages for pair in stage.changed]
    assert changed
    assert all(report.nodes[old].key == report.nodes[new].key for old, new in changed)


def test_stages_without_a_change_share_their_graph(report: Report) -> None:
    still = [
        (before, after)
        for before, after in zip(report.stages, report.stages[1:])
        if not (after.removed or after.added or after.changed)
    ]
    assert still
    assert all(before.graph == after.graph for before, after in still)
    assert len(report.graphs) < len(report.stages) / 2


def test_keys_are_unique_in_every_graph(report: Report) -> None:
    for graph in report.graphs:
        keys = [report.nodes[node].key for node in graph.nodes]
        assert len(set(keys)) == len(keys)


def test_nodes_are_in_topological_order(report: Report) -> None:
    for graph in report.graphs:
        known = {*graph.inputs, *(index for index, value in enumerate(report.values) if value.is_constant)}
        for node in graph.nodes:
            assert {value for value in report.nodes[node].inputs if value is not None} <= known
            known |= set(report.nodes[node].outputs)
        assert set(graph.outputs) <= known


def test_rewrites_name_what_they_rewrote(report: Report) -> None:
    fired = {rewrites.rule: rewrites.origins for stage in report.stages for rewrites in stage.rewrites}
    assert any("bn" in name for name in fired["fold-batch-norm"][0])


def test_refusals_stand_at_their_pass(report: Report) -> None:
    assert report.refused_rewrites
    for refusal in report.refused_rewrites:
        assert report.stages[refusal.stage].name == refusal.rule
        assert refusal.reason


def test_a_model_without_its_source_has_one_stage() -> None:
    compiled = compile_graph(cnnc.compiler.read_graph(LENET), Options())
    report = collect(compiled, QUICK)
    assert [stage.name for stage in report.stages] == ["compiled"]
    assert "source" in report.summary.stages_reason
    assert len(report.layers) == report.summary.steps > 0


def test_models_may_be_graphs() -> None:
    report = collect(cnnc.compile(cnnc.compiler.read_graph(LENET)), QUICK)
    assert report.stages[0].name == "imported"
    assert report.summary.nodes_before > report.summary.nodes_after
