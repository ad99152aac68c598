"""Random graphs, as they are and optimised: onnxruntime computes from the exported model what the interpreter does."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from cnnc.frontends import import_onnx
from cnnc.ir import Graph, Notes
from cnnc.passes import PassManager, pipeline
from tests.export.canonical import canonical_text
from tests.export.judged import check_results, exported
from tests.ir.random_graphs import random_graphs

_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
_SIZES = {"N": 2, "H": 9}


@_SETTINGS
@given(random_graphs())
def test_results_and_text_survive(graph: Graph) -> None:
    """The first import rounds attributes to float32, which is all that ONNX has; from then on nothing changes."""
    first = import_onnx(check_results(graph, sizes=_SIZES))
    assert canonical_text(import_onnx(exported(first))) == canonical_text(first)


@pytest.mark.parametrize("level", [0, 1])
@_SETTINGS
@given(random_graphs())
def test_optimised_graphs(level: int, graph: Graph) -> None:
    passes = [item for item in pipeline(level) if item.ensures != "placed"]
    PassManager(passes).run(graph, Notes())
    check_results(graph, sizes=_SIZES)
