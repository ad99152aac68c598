"""Times of graphs as programs."""

from __future__ import annotations

import pytest

from cnnc.pruning import ChannelSettings, prune_graph_channels
from cnnc.pruning.channel_meter import ProgramMeter
from tests.pruning.test_channel_latency import network


@pytest.mark.jit
def test_nodes_and_runs() -> None:
    graph = network()
    small = prune_graph_channels(graph, ChannelSettings(0.5)).graph
    meter = ProgramMeter(1)
    whole, part = meter.nodes([graph, small])
    assert list(whole) == list(part) == [node.output.name for node in graph.nodes]
    layers = [node.output.name for node in graph.nodes if node.op == "conv"]
    assert all(whole[name] > 0 and part[name] > 0 for name in layers)
    assert all(seconds > 0 for seconds in meter.runs([graph, small]))


@pytest.mark.jit
def test_a_target_on_this_machine() -> None:
    done = prune_graph_channels(network(), ChannelSettings(target_latency="1000s"), meter=ProgramMeter(1))
    assert done.latency is not None
    assert done.latency.after < 1000
    assert done.sparsity == 0
