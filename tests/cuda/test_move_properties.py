"""Random copies, layout conversions, pools, resizes and broadcasts on the emulator against NumPy.

One compiled variant serves all sizes; chains of element-wise ops are compiled for the shape of their broadcast.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.runtime import host
from cnnc.runtime.cpu import copy_strided, layout_conversion
from cnnc.runtime.cpu.tape_encoding import TapeStep
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.host.window import resolve_window
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch
from tests.cuda.test_elementwise_chain import run_chain
from tests.cuda.test_pool import pool_blocked, pool_plain
from tests.cuda.test_resize import resize
from tests.kernels.harness import poison
from tests.kernels.resize_cases import resize_reference

pytestmark = pytest.mark.jit


def few(count):
    """So many examples, the same ones every time."""
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@st.composite
def views(draw):
    """(array, view of it, its first element): axes permuted, steps in either direction, one axis broadcast."""
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    source = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    view = source.transpose(draw(st.permutations(range(len(shape)))))
    steps = [draw(st.sampled_from([1, 1, 2, -1, -2])) for _ in shape]
    view = view[tuple(slice(None, None, step) for step in steps)]
    if draw(st.booleans()):
        view = np.broadcast_to(view[..., :1], (*view.shape[:-1], draw(st.integers(1, 9))))
    return source, view, int(view.reshape(-1)[0])


@few(40)
@given(case=views())
def test_any_copy(case):
    source, view, first = case
    out = poison(view.shape)
    strides = [[stride // 4 for stride in array.strides] for array in (view, out)]
    sizes = copy_strided.arguments(view.shape, *strides)
    launch(Variant.of("copy.strided", size=4), {"y": out, "x": source}, sizes, offsets={"x": 4 * first})
    np.testing.assert_array_equal(out, view)


@few(25)
@given(st.integers(1, 3), st.integers(1, 20), st.integers(1, 40), st.integers(0, 99))
def test_any_order_of_channels(images, channels, positions, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, channels, positions), np.float32)
    blocks = -(-channels // LANES) + int(rng.integers(0, 2))
    lane_map = np.full(blocks * LANES, -1, np.int32)
    lane_map[rng.permutation(blocks * LANES)[:channels]] = rng.permutation(channels)
    sizes = layout_conversion.arguments(images, channels, positions, blocks, LANES, True)
    y, back = poison((images, blocks, positions, LANES)), poison(x.shape)
    launch(Variant.of("layout.plain_to_blocked", lanes=LANES), {"y": y, "x": x, "map": lane_map}, sizes)
    wanted = np.where(lane_map[:, None] >= 0, x[:, lane_map], 0)
    np.testing.assert_array_equal(y, blocked(wanted.astype(np.float32)))
    launch(Variant.of("layout.blocked_to_plain", lanes=LANES), {"y": back, "x": y, "map": lane_map}, sizes)
    np.testing.assert_array_equal(back, x)


@st.composite
def pools(draw):
    """(x, attributes) of a pool with at least one window, each of which meets the input."""
    rank = draw(st.integers(1, 3))

    def numbers(low, high):
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, dilations = numbers(1, 4), numbers(1, 2)
    begins, ends = ([draw(st.integers(0, size - 1)) for size in kernel] for _ in range(2))
    spatial = [(size - 1) * step + 1 + draw(st.integers(0, 6)) for size, step in zip(kernel, dilations)]
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 11)), *spatial)
    x = np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape, np.float32)
    window = {"kernel_shape": tuple(kernel), "strides": tuple(numbers(1, 3)), "dilations": tuple(dilations)}
    return x, window | {"pads": (*begins, *ends), "ceil_mode": draw(st.integers(0, 1))}


@few(25)
@given(case=pools(), include_pad=st.booleans())
def test_any_pool(case, include_pad):
    x, attributes = case
    names = ("kernel_shape", "strides", "dilations", "pads")
    window = resolve_window(x.shape[2:], *(attributes[name] for name in names), "NOTSET", bool(attributes["ceil_mode"]))
    greatest = host.function("max_pool")(x, **attributes)[0]
    means = host.function("average_pool")(x.astype(np.float64), count_include_pad=int(include_pad), **attributes)
    for pool in (pool_blocked, pool_plain):
        np.testing.assert_array_equal(pool(x, window, "max"), greatest)
        np.testing.assert_allclose(pool(x, window, "average", include_pad), means, rtol=1e-5, atol=1e-6)


@few(15)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 19)), min_size=1, max_size=3), st.integers(1, 11))
def test_any_resize(axes, channels):
    before, after = zip(*axes)
    x = np.random.default_rng(channels).standard_normal((1, channels, *before), np.float32)
    scales = (None,) * len(axes)
    for got in resize(x, after, scales, "half_pixel", "linear"):
        np.testing.assert_allclose(got, resize_reference(x, after, scales, mode="linear"), rtol=1e-5, atol=1e-6)
    expected = resize_reference(x, after, scales, nearest_mode="floor")
    for got in resize(x, after, scales, "half_pixel", "floor"):
        np.testing.assert_array_equal(got, expected)


@few(15)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 15), st.integers(0, 15), st.integers(0, 99))
def test_any_broadcast(shape, ones, others, seed):
    """Axes whose bits are set are 1 in an operand."""
    rng = np.random.default_rng(seed)
    operands = [
        rng.standard_normal([1 if bits >> axis & 1 else size for axis, size in enumerate(shape)], np.float32)
        for bits in (ones, others)
    ]
    expected = np.maximum(operands[0] - operands[1], np.float32(0.1))
    got, _ = run_chain(expected.shape, operands, [TapeStep("sub", (0, 1)), TapeStep("max", (2, 0.1))])
    np.testing.assert_array_equal(got, expected)
