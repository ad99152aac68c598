"""Every pass alone, and the pipelines, on random graphs: the verifier holds and the numbers stay."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from cnnc.ir import Graph, Notes
from cnnc.ir.clone import clone_graph
from cnnc.ir.text import print_graph
from cnnc.passes import ALL_PASSES, PassManager, make_pass, pipeline
from tests.ir.random_graphs import random_graphs

_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ALONE = [name for name in ALL_PASSES if ALL_PASSES[name].ensures not in ("optimised", "placed")]


@_SETTINGS
@given(random_graphs())
def test_each_pass_alone_keeps_numbers_and_is_idempotent(graph: Graph) -> None:
    PassManager([make_pass("eliminate-no-ops")], verify_level=2, check=True).run(graph, Notes())
    for name in ALONE:
        copy = clone_graph(graph)
        manager = PassManager([make_pass(name)], verify_level=2, check=True)
        manager.run(copy, Notes())
        once = print_graph(copy)
        (report,) = manager.run(copy, Notes())
        assert not report.changed, f"{name} changes its own result:\n{once}\n{print_graph(copy)}"


@pytest.mark.parametrize("level", [0, 1, 2])
@_SETTINGS
@given(random_graphs())
def test_pipelines_keep_numbers(level: int, graph: Graph) -> None:
    passes = [item for item in pipeline(level) if item.ensures != "placed"]
    PassManager(passes, verify_level=2, check=True).run(graph, Notes())
    assert graph.stage == "optimised"
