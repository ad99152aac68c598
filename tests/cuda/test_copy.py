"""copy.strided and copy.fill on the emulator against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.dims import evaluate, symbol
from cnnc.runtime.cpu import copy_fill, copy_strided
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch
from tests.kernels.harness import poison

DTYPES = {1: np.uint8, 2: np.uint16, 4: np.float32, 8: np.int64}


def _strides(array):
    return [stride // array.itemsize for stride in array.strides]


def _copy(source, view, out, out_view=None, offsets=None):
    """Copy ``view`` of ``source`` onto ``out_view`` of ``out``, which starts at element 0 of it."""
    out_view = out if out_view is None else out_view
    sizes = copy_strided.arguments(view.shape, _strides(view), _strides(out_view))
    return launch(Variant.of("copy.strided", size=source.itemsize), {"y": out, "x": source}, sizes, offsets=offsets)


def _random(shape, size):
    return np.random.default_rng(7).integers(0, 200, shape).astype(DTYPES[size])


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize(
    ("shape", "order"),
    [((37, 53), (1, 0)), ((130, 97), (1, 0)), ((2, 5, 35, 3), (0, 3, 1, 2)), ((2, 3, 4, 5, 6, 7), (5, 3, 1, 0, 2, 4))],
)
def test_transpose(size, shape, order):
    source = _random(shape, size)
    view = source.transpose(order)
    out = poison(view.shape, source.dtype)
    counters = _copy(source, view, out)
    np.testing.assert_array_equal(out, view)
    assert counters.conflicts == 0


@pytest.mark.parametrize("size", [1, 4])
def test_slice_with_steps_leaves_the_rest_alone(size):
    source, out = _random((9, 40, 11), size), poison((9, 40, 21), DTYPES[size])
    view, out_view = source[::2, :39:3, :7], out[:5, :13, :14:2]
    expected = out.copy()
    expected[:5, :13, :14:2] = view
    _copy(source, view, out, out_view)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_negative_steps(order):
    source = _random((40, 50), 4)
    view = source[::-1, 45:3:-2].transpose(order)
    out = poison(view.shape)
    _copy(source, view, out, offsets={"x": 4 * (39 * 50 + 45)})
    np.testing.assert_array_equal(out, view)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("run_length", [1, 15, 16, 64, 65, 2000])
def test_contiguous_runs(run_length, size):
    source = _random((3, run_length + 16), size)
    view = source[:, :run_length]
    out = poison(view.shape, source.dtype)
    _copy(source, view, out)
    np.testing.assert_array_equal(out, view)


def test_a_run_that_does_not_begin_on_sixteen_bytes():
    source = _random((3, 64), 4)
    out = poison((3, 32))
    _copy(source, source[:, 1:33], out, offsets={"x": 4})
    np.testing.assert_array_equal(out, source[:, 1:33])


def test_expand():
    for shape, wide in (((3, 1, 5), (2, 3, 70, 5)), ((3, 1), (3, 70))):
        source = _random(shape, 4)
        view, out = np.broadcast_to(source, wide), poison(wide)
        _copy(source, view, out)
        np.testing.assert_array_equal(out, view)


def test_depth_to_space():
    source = _random((2, 8, 5, 7), 4)
    view = source.reshape(2, 2, 2, 2, 5, 7).transpose(0, 3, 4, 1, 5, 2)
    out = poison(view.shape)
    _copy(source, view, out)
    np.testing.assert_array_equal(out, view)


def test_empty():
    empty = np.zeros((3, 0, 2), np.float32)
    assert _copy(empty, empty, empty).sectors == 0


@pytest.mark.parametrize(
    "view", [lambda x: x, lambda x: x.T, lambda x: x[:64, :64]], ids=["whole", "transpose", "corner"]
)
@pytest.mark.parametrize("size", [1, 4])
def test_memory_moves_in_whole_sectors(view, size):
    source = _random((128, 128), size)
    out = poison(view(source).shape, source.dtype)
    counters = _copy(source, view(source), out)
    np.testing.assert_array_equal(out, view(source))
    assert counters.sectors == 2 * out.nbytes // 32
    assert counters.conflicts == counters.divergent_branches == 0


def test_blocks_follow_symbolic_sizes():
    n, h = symbol("N"), symbol("H")
    items, options = kernel_def("copy.strided").items, {"size": 4}
    for strides in (((24 * h, 8 * h, 8, 1), (24 * h, 8 * h, 8, 1)), ((24 * h, 8 * h, 8, 1), (24 * h, 1, 24, 3))):
        shape = (n, 3, h, 8)
        symbolic = items(copy_strided.arguments(shape, *strides), options)
        known = {"N": 2, "H": 50}
        numbers = [tuple(evaluate(dim, known) for dim in dims) for dims in (shape, *strides)]
        assert evaluate(symbolic, known) == items(copy_strided.arguments(*numbers), options)


@pytest.mark.parametrize(("size", "bits"), [(1, 0x7B), (1, -3), (2, 0x7BCD), (4, 0x3F800000), (8, -5)])
@pytest.mark.parametrize("first", [0, 1])
def test_fill(size, bits, first):
    count = 4096 + 77
    out = np.zeros(count + first + 1, f"u{size}")
    sizes = copy_fill.arguments(count, bits)
    launch(Variant.of("copy.fill", size=size), {"y": out}, sizes, offsets={"y": first * size})
    assert (out[first:-1] == np.array(bits).astype(np.int64).astype(f"u{size}")).all()
    assert (out[:first] == 0).all() and out[-1] == 0
