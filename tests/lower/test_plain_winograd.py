"""Which convolutions of a plain input go by Winograd's method in rows, and why others do not."""

from __future__ import annotations

import pytest

from cnnc.compiler import compile_graph
from cnnc.lower.builder import Decision
from cnnc.options import Options
from cnnc.runtime.artifact import load_artifact
from tests.numeric.network import Network

NAME = "conv.f32.blocked.plain_winograd"


def network(channels: int = 3, size: int | str = 64, filters: int = 64, **conv) -> Network:
    """A convolution of a [1, channels, size, size] input."""
    net = Network()
    x = net.input(1, channels, size, size)
    net.returns(net.conv(x, filters, **{"kernel": (7, 7), "strides": (2, 2), "pads": (3, 3, 3, 3)} | conv))
    return net


def decision(options: Options, **conv) -> Decision:
    lowered = compile_graph(network(**conv).graph, options).lowered
    return [item for item in lowered.decisions if item.op == "conv"][-1]


@pytest.mark.parametrize(
    "conv",
    [
        {},
        {"kernel": (11, 11), "strides": (4, 4), "pads": (2, 2, 2, 2), "size": 224},
        {"kernel": (7, 7), "strides": (1, 2)},
    ],
    ids=str,
)
def test_taken_where_it_pays(conv):
    assert decision(Options(), **conv).chosen == NAME


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        ({"kernel": (1, 1), "strides": (1, 1), "pads": ()}, "has 1 columns"),
        ({"kernel": (2, 2), "pads": ()}, "has 1 columns"),
        ({"kernel": (3, 9), "strides": (1, 1)}, "has 9 columns"),
        ({"kernel": (3, 17), "strides": (1, 4)}, "more than 16 wide"),
        ({"kernel": (3, 11), "strides": (1, 5)}, "stride is more than 4"),
        ({"kernel": (70, 7), "size": 128}, "more than 128 products"),
        ({"dilations": (2, 1)}, "gaps"),
        ({"channels": 48, "kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}, "blocked layout"),
        ({"size": "S"}, "not known"),
        ({"kernel": (3, 3), "filters": 16, "size": 16}, "is estimated to take"),
    ],
    ids=str,
)
def test_refused_with_a_reason(conv, reason):
    found = decision(Options(), **conv)
    assert found.chosen != NAME
    [said] = [why for rule, why in found.refused if rule == NAME]
    assert reason in said


@pytest.mark.parametrize("options", [Options(winograd="off"), Options(level=0), Options(level=1)], ids=str)
def test_off(options):
    assert (NAME, "Winograd is off") in decision(options).refused


@pytest.mark.parametrize("window", [(7, 7), (1, 16), (3, 3)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("winograd", ["f2", "f4", "auto"])
def test_artifacts_hold_every_variant(tmp_path, window, stride, winograd):
    """The bounds by which a loader refuses hostile variants let all pass that selection makes."""
    net = network(kernel=window, strides=(1, stride))
    compile_graph(net.graph, Options(winograd=winograd)).save(tmp_path / "model.cnnc")
    assert load_artifact(tmp_path / "model.cnnc").program.steps
