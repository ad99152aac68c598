"""Random shapes and attributes through every level, against float64. A graph that fails is kept as text."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cnnc import interp
from cnnc.compiler import compile
from cnnc.errors import ModelError
from cnnc.ir import Graph, Value
from cnnc.ir.clone import clone_graph
from cnnc.ir.text_file import save_graph
from cnnc.ops.resize import COORDINATE_MODES
from tests.ir.random_graphs import random_graphs
from tests.numeric.case import make_run
from tests.numeric.channel_graphs import channel_graphs
from tests.numeric.network import Network
from tests.numeric.tolerance import assert_close, own_errors

pytestmark = pytest.mark.jit

Draw = Callable[[Any], Any]
QUICK = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
FAILURES = Path(os.environ.get("CNNC_FAILED_GRAPHS") or Path(tempfile.gettempdir()) / "cnnc-failed-graphs")
LEVELS = (0, 1, 2)


def judge(graph: Graph, name: str) -> None:
    """Run at every level; on failure write the graph beside its weights."""
    run = make_run(graph, {})
    own = own_errors(interp.run(graph, run.feeds), run.truth)
    for level in LEVELS:
        try:
            got = compile(clone_graph(graph), level=level).run(run.feeds)
            assert_close(got, run.truth, run.additions, f"-O{level}", own)
        except Exception as error:
            FAILURES.mkdir(exist_ok=True)
            file = FAILURES / f"{name}.ir"
            save_graph(graph, file)
            error.add_note(f"at -O{level}; the graph is in {file}")
            raise


def _returned(net: Network, *values: Value) -> Graph:
    return net.returns(*values).graph


@st.composite
def convolutions(draw: Draw) -> Graph:
    net = Network(draw(st.integers(0, 999)))
    group = draw(st.sampled_from([1, 1, 2, 3, 8]))
    channels, filters = group * draw(st.integers(1, 9)), group * draw(st.integers(1, 9))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dilations = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    x = net.input(draw(st.integers(1, 3)), channels, draw(st.integers(1, 12)), draw(st.integers(1, 19)))
    if draw(st.booleans()):
        x = net.conv(x, channels, group=group)
    try:
        y = net.conv(x, filters, kernel, group=group, dilations=dilations, pads=pads, strides=strides)
    except ModelError:
        assume(False)
    if draw(st.booleans()):
        y = net.op("relu", net.op("add", y, net.op("sigmoid", y)))
    return _returned(net, y)


@st.composite
def pools(draw: Draw) -> Graph:
    net = Network(draw(st.integers(0, 999)))
    x = net.input(draw(st.integers(1, 2)), draw(st.integers(1, 20)), draw(st.integers(1, 11)), draw(st.integers(1, 17)))
    if draw(st.booleans()):
        x = net.blocked(x, draw(st.integers(1, 20)))
    op = draw(st.sampled_from(["max_pool", "average_pool"]))
    attrs: dict[str, Any] = {
        "kernel_shape": draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        "strides": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "dilations": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "pads": draw(st.tuples(*[st.integers(0, 2)] * 4)),
        "ceil_mode": draw(st.integers(0, 1)),
    }
    if op == "average_pool":
        attrs["count_include_pad"] = draw(st.integers(0, 1))
    try:
        return _returned(net, net.op(op, x, **attrs))
    except ModelError:
        assume(False)
        raise


@st.composite
def resizes(draw: Draw) -> Graph:
    net = Network(draw(st.integers(0, 999)))
    channels = draw(st.integers(1, 20))
    x = net.input(draw(st.integers(1, 2)), channels, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    if draw(st.booleans()):
        x = net.blocked(x, channels)
    sizes = net.ints(int(str(x.type.shape[0])), channels, draw(st.integers(1, 15)), draw(st.integers(1, 15)))
    modes = [mode for mode in COORDINATE_MODES if mode != "tf_crop_and_resize"]
    attrs = {"mode": draw(st.sampled_from(["nearest", "linear"]))}
    attrs["coordinate_transformation_mode"] = draw(st.sampled_from(modes))
    return _returned(net, net.op("resize", x, None, None, sizes, **attrs))


@st.composite
def broadcasts(draw: Draw) -> Graph:
    net = Network(draw(st.integers(0, 999)))
    shape = draw(st.lists(st.integers(1, 7), min_size=0, max_size=5))
    value: Value | None = None
    for index in range(draw(st.integers(2, 4))):
        kept = draw(st.integers(0, len(shape)))
        part = [size if draw(st.booleans()) else 1 for size in shape[len(shape) - kept :]]
        operand = net.input(*part, name=f"x{index}") if draw(st.booleans()) or value is None else net.normal(*part)
        op = draw(st.sampled_from(["add", "sub", "mul", "max", "min"]))
        value = operand if value is None else net.op(op, *draw(st.permutations([value, operand])))
    assert value is not None
    return _returned(net, net.op("tanh", value))


FAMILIES = {
    "conv": convolutions(),
    "pool": pools(),
    "resize": resizes(),
    "broadcast": broadcasts(),
    "network": random_graphs(max_nodes=12),
    "channels": channel_graphs(),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_few_random_graphs(family: str) -> None:
    QUICK(given(FAMILIES[family])(lambda graph: judge(graph, family)))()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_random_graphs(family: str) -> None:
    LONG(given(FAMILIES[family])(lambda graph: judge(graph, family)))()
