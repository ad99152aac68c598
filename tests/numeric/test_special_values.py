"""NaN, infinities and signed zeros go through kernels as the reference says."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import compile
from cnnc.ir import Value
from tests.numeric.case import Build, Case
from tests.numeric.network import Network

pytestmark = pytest.mark.jit

SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, 3e38, -3e38, 1e-42], np.float32)
SHAPE = (2, 17, 5, 6)


def special_input() -> np.ndarray:
    """[2, 17, 5, 6]: special values among ordinary ones, each beside each."""
    rng = np.random.default_rng(5)
    ordinary = rng.standard_normal(SHAPE).astype(np.float32)
    return np.where(rng.random(SHAPE) < 0.4, rng.choice(SPECIAL, SHAPE), ordinary)


def elementwise(net: Network) -> tuple[Value, ...]:
    x, y = net.input(*SHAPE), net.input(*SHAPE, name="y")
    return (
        net.op("relu", x),
        net.op("leaky_relu", x),
        net.op("max", x, y),
        net.op("min", x, net.const(0.5)),
        net.op("clip", x, net.const(-2), net.const(2)),
        net.op("add", x, y),
        net.op("sigmoid", x),
        net.op("tanh", x),
        net.op("exp", x),
        net.op("is_nan", net.op("sub", x, x)),
        net.op("greater", x, y),
        net.op("where", net.op("equal", x, y), x, net.const(7)),
        net.op("hard_swish", x),
        net.op("abs", x),
    )


def pools(net: Network) -> tuple[Value, ...]:
    x = net.input(*SHAPE)
    window = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    return (
        net.op("max_pool", x, **window),
        net.op("average_pool", x, **window),
        net.op("global_max_pool", x),
        net.op("reduce_max", x, net.ints(1)),
        net.op("reduce_min", x, net.ints(3)),
    )


def behind_convolution(net: Network) -> tuple[Value, ...]:
    """One number that is no ordinary one reaches every channel of its pixel, and no other pixel."""
    x = net.input(*SHAPE)
    y = net.conv(x, 24)
    window = {"kernel_shape": (2, 2), "strides": (2, 2)}
    return y, net.op("relu", y), net.op("max_pool", y, **window), net.op("clip", y, net.const(0), net.const(6))


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("build", [elementwise, pools, behind_convolution], ids=lambda build: build.__name__)
def test_special_values(build: Build, level: int) -> None:
    case = Case(build.__name__, build)
    x = special_input()
    feeds = {"x": x, "y": np.roll(x, 1, axis=3)} if build is elementwise else {"x": x}
    expected = interp.run(case.graph(), feeds)
    got = compile(case.graph(), level=level).run(feeds)
    for name, array in expected.items():
        np.testing.assert_array_equal(np.isnan(got[name]), np.isnan(array), err_msg=f"NaN in {name}")
        ordinary = np.isfinite(array)
        np.testing.assert_array_equal(got[name][~ordinary], array[~ordinary], err_msg=f"infinities in {name}")


@pytest.mark.parametrize("level", [0, 2])
def test_nan_stays_in_its_image(level: int) -> None:
    """A batch is as good as its images alone: nothing leaks from one into another, or from pad lanes."""

    def build(net: Network) -> Value:
        x = net.conv(net.input("N", 3, 7, 9), 17, (3, 3), pads=(1, 1, 1, 1), activation="relu")
        x = net.op("max_pool", x, kernel_shape=(3, 3), pads=(1, 1, 1, 1))
        return net.op("softmax", net.op("flatten", net.op("global_average_pool", net.conv(x, 5))))

    model = compile(Case("images", build).graph(), level=level)
    images = np.random.default_rng(1).standard_normal((3, 3, 7, 9)).astype(np.float32)
    clean = model.run({"x": images})["y0"]
    images[1] = np.nan
    dirty = model.run({"x": images})["y0"]
    assert np.isnan(dirty[1]).all()
    np.testing.assert_array_equal(dirty[[0, 2]], clean[[0, 2]])
