"""Which convolutions go by Winograd's method, and why others do not."""

from __future__ import annotations

import pytest

from cnnc.compiler import compile_graph
from cnnc.errors import OptionError
from cnnc.lower.builder import Decision
from cnnc.options import Options
from cnnc.runtime.artifact import load_artifact
from tests.numeric.network import Network

NAME = "conv.f32.blocked.winograd"


def decision(
    options: Options, channels: int = 64, filters: int = 64, size: int = 28, depth: int = 1, **conv
) -> Decision:
    """How the last of ``depth`` equal convolutions of a [1, channels, size, size] map is lowered."""
    net = Network()
    x = net.blocked(net.input(1, 3, size, size), channels)
    for _ in range(depth):
        x = net.conv(x, filters, **{"kernel": (3, 3), "pads": (1, 1, 1, 1)} | conv)
    net.returns(x)
    return [item for item in compile_graph(net.graph, options).lowered.decisions if item.op == "conv"][-1]


def test_taken_where_it_pays():
    assert decision(Options()).chosen == NAME
    assert decision(Options(), group=2).chosen == NAME
    assert decision(Options(), kernel=(5, 5), pads=(2, 2, 2, 2)).chosen == NAME
    assert decision(Options(), kernel=(1, 3), pads=(0, 1, 0, 1)).chosen == NAME


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        ({"strides": (2, 2)}, "stride"),
        ({"kernel": (1, 1), "pads": ()}, "1x1"),
        ({"group": 64}, "one filter a channel"),
        ({"group": 16}, "smaller than a block"),
        ({"kernel": (9, 9), "pads": ()}, "window is larger"),
        ({"channels": 8, "filters": 8, "size": 5}, "is estimated to take"),
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
    found = decision(options)
    assert (NAME, "Winograd is off") in found.refused


def test_options_that_make_no_sense():
    with pytest.raises(OptionError, match="winograd='f3'"):
        Options(winograd="f3")
    with pytest.raises(OptionError, match="level 1 takes no winograd=f4"):
        Options(level=1, winograd="f4")


@pytest.mark.parametrize("window", [(3, 3), (5, 5), (4, 4), (7, 1), (1, 7), (2, 6)], ids=str)
@pytest.mark.parametrize("winograd", ["f2", "f4", "auto"])
def test_artifacts_hold_every_variant(tmp_path, window, winograd):
    """The bounds by which a loader refuses hostile variants let all pass that selection makes."""
    net = Network()
    x = net.blocked(net.input(1, 3, 56, 56), 64)
    net.returns(net.conv(x, 64, window, pads=tuple(size // 2 for size in window) * 2))
    compile_graph(net.graph, Options(winograd=winograd)).save(tmp_path / "model.cnnc")
    assert load_artifact(tmp_path / "model.cnnc").program.steps
