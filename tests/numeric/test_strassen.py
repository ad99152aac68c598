"""Networks whose 1x1 convolutions all go by Strassen's method, at several sizes and vector widths, against float64."""

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

pytestmark = pytest.mark.jit

ROOT = Path(__file__).resolve().parents[2]
NAME = "conv.f32.blocked.strassen"


def residual_blocks(net: Network) -> Value:
    x = net.blocked(net.input("N", 5, "H", "W"), 64)
    y = net.conv(x, 96, (1, 1), activation="relu")
    x = net.conv(y, 64, (1, 1), residual=x, activation="clip", alpha=-1.0, beta=1.5)
    return net.conv(x, 32, (1, 1), activation="prelu")


def ranges(net: Network) -> Value:
    """Results lie in ranges of the channels of joined tensors."""
    x = net.blocked(net.input(2, 5, 7, 9), 32)
    for _ in range(2):
        x = net.op("concat", x, net.conv(x, 32, (1, 1), activation="silu"), axis=1)
    return net.conv(net.conv(x, 32, (1, 1)), 64, (1, 1))


def strides(net: Network) -> Value:
    x = net.conv(net.blocked(net.input("N", 5, "H", "W"), 32), 64, (1, 1), strides=(2, 3), activation="relu")
    return net.conv(x, 32, (1, 1), strides=(1, 2))


def volumes(net: Network) -> Value:
    return net.conv(net.blocked(net.input(1, 4, 5, 3, 7), 32), 64, (1, 1, 1), activation="relu")


def rows(net: Network) -> Value:
    return net.conv(net.blocked(net.input(2, 4, 37), 32), 32, (1,))


def activations(net: Network) -> tuple[Value, ...]:
    x = net.blocked(net.input(1, 5, 6, 5), 32)
    return tuple(net.conv(x, 32, (1, 1), activation=kind, alpha=0.5, beta=0.75) for kind in sorted(KINDS))


def check(build: Build, sizes: tuple[int, ...] = (0, 0, 0)) -> CompiledModel:
    net = Network(seed=3)
    made = build(net)
    net.returns(*(made if isinstance(made, tuple) else (made,)))
    reference = clone_graph(net.graph)
    model = compile(net.graph, strassen="on")
    [port] = reference.inputs
    named = dict(zip("NHW", sizes))
    shape = tuple(dim if isinstance(dim, int) else named[str(dim)] for dim in port.type.shape)
    feeds = {port.name: np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    truth = interp.run(reference, feeds, float64=True)
    for name, got in model.run(feeds).items():
        np.testing.assert_allclose(got, truth[name], rtol=0, atol=1e-5 * float(truth[name].std()), err_msg=name)
    assert NAME in [decision.chosen for decision in model.lowered.decisions]
    return model


@pytest.mark.parametrize("build", [ranges, volumes, rows, activations], ids=lambda build: build.__name__)
def test_agrees_with_float64(build: Build) -> None:
    check(build)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 5, 31), (3, 18, 13)], ids=str)
@pytest.mark.parametrize("build", [residual_blocks, strides], ids=lambda build: build.__name__)
def test_one_program_serves_all_sizes(build: Build, sizes: tuple[int, int, int]) -> None:
    check(build, sizes)


def test_results_do_not_depend_on_threads() -> None:
    model = check(residual_blocks, (3, 18, 13))
    x = np.random.default_rng(1).standard_normal((3, 5, 18, 13)).astype(np.float32)
    [alone], [together] = (model.session(threads=threads).run(None, {"x": x}) for threads in (1, 2))
    assert np.array_equal(alone, together)


@pytest.mark.slow
def test_narrower_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNC_TARGET", "avx2")
    try:
        host_target()
    except OptionError as error:
        pytest.skip(str(error))
    tests = ["test_agrees_with_float64[ranges]", "test_one_program_serves_all_sizes[strides-(2, 5, 31)]"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, *(f"tests/numeric/test_strassen.py::{name}" for name in tests)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert f"{len(tests)} passed" in done.stdout
