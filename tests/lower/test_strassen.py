"""Which 1x1 convolutions go by Strassen's method, and why others do not."""

from __future__ import annotations

import pytest

from cnnc.compiler import compile_graph
from cnnc.errors import OptionError
from cnnc.lower.builder import Decision
from cnnc.options import Options
from cnnc.runtime.artifact import load_artifact
from tests.numeric.network import Network

NAME = "conv.f32.blocked.strassen"


def decision(
    options: Options, channels: int = 512, filters: int = 512, size: int = 14, depth: int = 1, **conv
) -> Decision:
    """How the last of ``depth`` equal convolutions of a [1, channels, size, size] map is lowered."""
    net = Network()
    x = net.blocked(net.input(1, 3, size, size), channels)
    for _ in range(depth):
        x = net.conv(x, filters, **{"kernel": (1, 1)} | conv)
    net.returns(x)
    return [item for item in compile_graph(net.graph, options).lowered.decisions if item.op == "conv"][-1]


def reason(found: Decision) -> str:
    assert found.chosen != NAME
    [said] = [why for rule, why in found.refused if rule == NAME]
    return said


@pytest.mark.parametrize(("channels", "filters", "size"), [(512, 512, 14), (256, 1024, 14), (1024, 256, 14)])
def test_taken_where_it_pays(channels, filters, size):
    assert decision(Options(), channels, filters, size).chosen == NAME


def test_taken_with_strides():
    assert decision(Options(), 512, 1024, 28, strides=(2, 2)).chosen == NAME


@pytest.mark.parametrize(
    ("conv", "said"),
    [
        ({"strides": (2, 2), "pads": (1, 1, 1, 1)}, "padding"),
        ({"strides": (2, 2), "channels": 64, "filters": 64}, "is estimated to take"),
        ({"kernel": (3, 3), "pads": (1, 1, 1, 1)}, "window"),
        ({"group": 2}, "groups"),
        ({"channels": 500}, "cannot be halved"),
        ({"filters": 528}, "cannot be halved"),
        ({"channels": 32, "filters": 32}, "is estimated to take"),
        ({"size": 1}, "is estimated to take"),
        ({"depth": 150, "filters": 512, "size": 7}, "rounding errors"),
    ],
    ids=str,
)
def test_refused_with_a_reason(conv, said):
    assert said in reason(decision(Options(), **conv))


@pytest.mark.parametrize("options", [Options(strassen="off"), Options(level=0), Options(level=1)], ids=str)
def test_off(options):
    assert reason(decision(options)) == "Strassen's method is off"


def test_on_takes_what_costs_more():
    assert decision(Options(strassen="on"), channels=32, filters=32, size=3).chosen == NAME


def test_options_that_make_no_sense():
    with pytest.raises(OptionError, match="strassen='yes'"):
        Options(strassen="yes")
    with pytest.raises(OptionError, match="level 3 takes no strassen=on"):
        Options(level=3, strassen="on")


@pytest.mark.parametrize("size", [1, 5, 14, 56])
def test_artifacts_hold_every_variant(tmp_path, size):
    """The bounds by which a loader refuses hostile variants let all pass that selection makes."""
    net = Network()
    x = net.blocked(net.input(1, 3, size, size), 64)
    net.returns(net.conv(x, 128, (1, 1)))
    compile_graph(net.graph, Options(strassen="on")).save(tmp_path / "model.cnnc")
    assert load_artifact(tmp_path / "model.cnnc").program.steps
