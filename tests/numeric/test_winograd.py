"""Networks whose convolutions all go by Winograd's method, at several sizes and vector widths, against float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import CompiledModel, compile
from cnnc.errors import OptionError
from cnnc.ir import Value
from cnnc.ir.clone import clone_graph
from cnnc.ops.activation import KINDS
from cnnc.runtime.jit.target import host_target
from tests.numeric.case import Build
from tests.numeric.network import Network
from tests.rotation import in_turn

pytestmark = pytest.mark.jit

ROOT = Path(__file__).resolve().parents[2]
NAME = "conv.f32.blocked.winograd"
COMMON = ("clip", "prelu", "silu")
"""Activations of two numbers, of one a channel, and of the exponential function."""
SAME = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}


def residual_blocks(net: Network) -> Value:
    x = net.blocked(net.input("N", 5, "H", "W"), 24)
    y = net.conv(x, 40, **SAME, activation="relu")
    x = net.conv(y, 24, **SAME, residual=x, activation="clip", alpha=-1.0, beta=1.5)
    return net.conv(x, 17, (3, 3), dilations=(2, 2), activation="prelu")


def pieces(net: Network) -> Value:
    """Joined channels lie in pieces with pad lanes between them."""
    x = net.blocked(net.input(2, 5, 11, 10), 17)
    for _ in range(2):
        x = net.op("concat", x, net.conv(x, 12, **SAME, activation="silu"), axis=1)
    return net.conv(x, 20, **SAME)


def windows(net: Network) -> tuple[Value, ...]:
    x = net.blocked(net.input(1, 5, 13, 12), 20)
    return (
        net.conv(x, 18, (1, 7), pads=(0, 3, 0, 3)),
        net.conv(x, 18, (5, 1), pads=(2, 0, 2, 0)),
        net.conv(x, 18, (5, 5), pads=(0, 2, 1, 3)),
        net.conv(x, 18, (2, 3)),
    )


def volumes(net: Network) -> Value:
    x = net.blocked(net.input(1, 4, 5, 9, 7), 18)
    x = net.conv(x, 20, (3, 3, 3), pads=(1,) * 6, activation="relu")
    return net.conv(x, 17, (2, 3, 3), strides=(2, 1, 1), dilations=(2, 1, 1), pads=(1, 0, 1, 2, 1, 1))


def rows(net: Network) -> Value:
    x = net.blocked(net.input(2, 4, 37), 18)
    return net.conv(x, 20, (3,), pads=(1, 1))


def large_groups(net: Network) -> Value:
    return net.conv(net.blocked(net.input(2, 5, 9, 8), 64), 96, **SAME, group=2)


def activation(kind: str) -> Build:
    def network(net: Network) -> Value:
        return net.conv(net.blocked(net.input(1, 5, 6, 5), 16), 16, **SAME, activation=kind, alpha=0.5, beta=0.75)

    return network


def check(build: Build, winograd: str, sizes: tuple[int, ...] = (0, 0, 0)) -> CompiledModel:
    net = Network(seed=3)
    made = build(net)
    net.returns(*(made if isinstance(made, tuple) else (made,)))
    reference = clone_graph(net.graph)
    model = compile(net.graph, winograd=winograd)
    [port] = reference.inputs
    named = dict(zip("NHW", sizes))
    shape = tuple(dim if isinstance(dim, int) else named[str(dim)] for dim in port.type.shape)
    feeds = {port.name: np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    truth = interp.run(reference, feeds, float64=True)
    for name, got in model.run(feeds).items():
        np.testing.assert_allclose(got, truth[name], rtol=0, atol=1e-4 * float(truth[name].std()), err_msg=name)
    return model


@pytest.mark.parametrize(
    ("build", "winograd"),
    in_turn([pieces, windows, volumes, rows, large_groups], ["f4", "f2"], 0),
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_agrees_with_float64(build: Build, winograd: str) -> None:
    model = check(build, winograd)
    assert NAME in [decision.chosen for decision in model.lowered.decisions]


@pytest.mark.parametrize("sizes", [(1, 6, 7), (2, 5, 31), (3, 18, 13)], ids=str)
def test_one_program_serves_all_sizes(sizes: tuple[int, int, int]) -> None:
    check(residual_blocks, "f4", sizes)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in COMMON else pytest.mark.slow) for kind in sorted(KINDS)]
)
def test_every_activation(kind: str) -> None:
    check(activation(kind), "f4")


def test_an_infinity_stays_in_the_tiles_that_see_it() -> None:
    net = Network(seed=3)
    net.returns(net.conv(net.blocked(net.input(2, 5, 16, 16), 16), 16, **SAME))
    model = compile(net.graph, winograd="f4")
    x = np.random.default_rng(1).standard_normal((2, 5, 16, 16)).astype(np.float32)
    clean = model.run({"x": x})["y0"]
    x[0, 2, 5, 6] = np.inf
    spoilt = model.run({"x": x})["y0"]
    assert not np.isfinite(spoilt[0, :, 4:7, 5:8]).any()
    # Rows and columns 4..7 are one tile, and the window of the pixel reaches no other.
    apart = np.ones(clean.shape, bool)
    apart[0, :, 4:8, 4:8] = False
    assert np.array_equal(spoilt[apart], clean[apart])


def test_narrower_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNC_TARGET", "avx2")
    try:
        host_target()
    except OptionError as error:
        pytest.skip(str(error))
    tests = ["test_one_program_serves_all_sizes[(2, 5, 31)]"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, *(f"tests/numeric/test_winograd.py::{name}" for name in tests)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert f"{len(tests)} passed" in done.stdout
