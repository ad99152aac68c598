"""Channels go until a run is fast enough, those first that are worth least for their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from cnnc.channels import dependencies
from cnnc.dims import evaluate
from cnnc.errors import OptionError
from cnnc.ir import Graph, Node
from cnnc.ops import OPS
from cnnc.pruning.channel_api import PrunedChannels, prune_graph_channels
from cnnc.pruning.channel_groups import channel_groups
from cnnc.pruning.channel_settings import ChannelSettings, LatencyTarget, parse_latency
from cnnc.pruning.channel_work import WorkTimes
from tests.passes.sketch import Sketch


class MacMeter:
    """A machine that takes a nanosecond for a multiply-accumulate, and ``overhead`` seconds for a run.

    Node times come out ``flattery`` times as long as they are: predictions are wrong then.
    """

    def __init__(self, overhead: float = 0.0, flattery: float = 1.0) -> None:
        self._overhead = overhead
        self._flattery = flattery
        self.timed = 0

    def nodes(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        return [{node.output.name: self._flattery * seconds_of(node) for node in graph.nodes} for graph in graphs]

    def runs(self, graphs: Sequence[Graph]) -> list[float]:
        self.timed += 1
        return [self._overhead + sum(map(seconds_of, graph.nodes)) for graph in graphs]


def seconds_of(node: Node) -> float:
    cost = OPS[node.op].macs
    if cost is None:
        return 0.0
    types = [None if value is None else value.type for value in node.inputs]
    return evaluate(cost(node.attrs, types, [value.type for value in node.outputs]), {"N": 1}) * 1e-9


def network() -> Graph:
    """A wide part on a large map, and a wide part on a small one; all filters alike."""
    sketch = Sketch()
    x = sketch.input("N", 3, 32, 32)
    x = sketch.op("relu", sketch.op("conv", x, sketch.normal(64, 3, 3, 3, name="wa"), name="a", pads=(1, 1, 1, 1)))
    x = sketch.op("relu", sketch.op("conv", x, sketch.normal(64, 64, 3, 3, name="wb"), name="b", pads=(1, 1, 1, 1)))
    x = sketch.op("max_pool", x, kernel_shape=(8, 8), strides=(8, 8))
    x = sketch.op("relu", sketch.op("conv", x, sketch.normal(128, 64, 3, 3, name="wc"), name="c", pads=(1, 1, 1, 1)))
    return sketch.returns(sketch.op("conv", x, sketch.normal(10, 128, 1, 1), name="d")).graph


def prune(target: str, meter: MacMeter, **settings: object) -> PrunedChannels:
    return prune_graph_channels(network(), ChannelSettings(target_latency=target, **settings), meter=meter)  # type: ignore[arg-type]


@pytest.mark.parametrize("flattery", [1.0, 0.4, 3.0])
@pytest.mark.parametrize("ratio", [0.9, 0.6, 0.3])
def test_the_target_is_reached_and_not_by_far(ratio: float, flattery: float) -> None:
    meter = MacMeter(1e-4, flattery)
    done = prune(f"{ratio}x", meter, round_to=2)
    latency = done.latency
    assert latency is not None
    assert latency.after <= latency.limit == pytest.approx(ratio * latency.before)
    assert latency.after > 0.9 * latency.limit
    assert latency.after == meter.runs([done.graph])[0]
    assert meter.timed <= 9


def test_seconds() -> None:
    latency = prune("20ms", MacMeter(), round_to=1).latency
    assert latency is not None
    assert 0.019 < latency.after <= latency.limit == 0.02


def test_channels_go_where_they_take_long() -> None:
    """All scores are alike, but a filter of "b" takes 30 times as long as one of "c"."""
    done = prune("0.5x", MacMeter())
    kept = {group.layers[0]: group.kept / group.channels for group in done.groups}
    assert kept["a"] < 0.9 and kept["b"] < 0.9
    assert kept["c"] > 0.9


def test_a_model_that_is_fast_enough_stays() -> None:
    done = prune("1s", MacMeter())
    assert done.sparsity == 0


def test_ratios_and_limits_hold() -> None:
    done = prune("0.6x", MacMeter(), ratios=(("c", 0.5),), exclude=("a",), max_layer_sparsity=0.75)
    kept = {group.layers[0]: group.kept for group in done.groups}
    assert (kept["a"], kept["c"]) == (64, 64)
    assert 16 <= kept["b"] < 64


def test_what_cannot_be_reached_is_refused_with_what_can() -> None:
    with pytest.raises(OptionError, match=r"takes 50\.\d ms at best, and 90\.\d ms with all channels; asked are 10 ms"):
        prune("10ms", MacMeter(0.05))
    with pytest.raises(OptionError, match="all groups have ratios"):
        prune("0.5x", MacMeter(), ratios=(("*", 0.5),))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("5ms", LatencyTarget(0.005, None)),
        ("800us", LatencyTarget(0.0008, None)),
        ("1.5s", LatencyTarget(1.5, None)),
        (".7x", LatencyTarget(None, 0.7)),
    ],
)
def test_texts(text: str, target: LatencyTarget) -> None:
    found = parse_latency(text)
    assert found.ratio == target.ratio
    assert found.seconds == pytest.approx(target.seconds)


@pytest.mark.parametrize("text", ["5", "ms", "-5ms", "0ms", "5 minutes", "0x"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="is no latency"):
        ChannelSettings(target_latency=text)


def test_a_sparsity_does_not_go_with_a_latency() -> None:
    with pytest.raises(OptionError, match="a sparsity is given, too"):
        ChannelSettings(0.3, target_latency="5ms")


def test_work_is_interpolated_between_what_was_measured() -> None:
    """Layer "b" reads "a" and is measured with 1, 1/2 and 1/4 of both: 1, 1/4 and 1/16 of the work."""
    graph = network()
    found = dependencies(graph)
    groups = channel_groups(found)[:2]
    seconds = [{"b": value} for value in (10.0, 4.0, 1.0)]
    work = WorkTimes(found, groups, [np.array([share, share]) for share in (1, 0.5, 0.25)], seconds)
    assert work.seconds(np.array([1.0, 1.0])) == 10
    assert work.seconds(np.array([1.0, 0.25])) == 4
    assert work.seconds(np.array([0.5, 0.25])) == pytest.approx(2)
    assert work.gain(np.array([1.0, 1.0]), 1, 0.25) == 6
    assert work.neighbours(0) == {0, 1}
