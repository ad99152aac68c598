"""Random graphs print, parse back, and compute the same."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from cnnc import interp
from cnnc.ir import Graph, verify
from cnnc.ir.clone import clone_graph
from cnnc.ir.text import print_apart, print_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.sample_inputs import sample_inputs
from tests.ir.random_graphs import random_graphs


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_graphs())
def test_text_and_clone_of_random_graphs(graph: Graph) -> None:
    verify(graph)
    text, arrays = print_apart(graph)
    assert text == print_graph(graph)
    back = parse_graph(text, graph.table, arrays)
    verify(back)
    assert print_graph(back) == text
    assert print_graph(clone_graph(graph)) == text
    feeds = sample_inputs(graph)
    expected, got = interp.run(graph, feeds), interp.run(back, feeds)
    for name, array in expected.items():
        assert np.array_equal(array, got[name], equal_nan=True)
