"""copy.strided and copy.fill against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.dims import evaluate, symbol
from cnnc.errors import InternalError
from cnnc.runtime.cpu import copy_fill, copy_strided
from cnnc.runtime.kernel import Variant
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
DTYPES = {1: np.uint8, 2: np.uint16, 4: np.float32, 8: np.int64}


def _strides(array: np.ndarray) -> list[int]:
    return [stride // array.itemsize for stride in array.strides]


def _copy(source: np.ndarray, view: np.ndarray, out: np.ndarray, out_view: np.ndarray) -> np.ndarray:
    """Copy ``view`` of ``source`` onto ``out_view`` of ``out``; views start at element 0 of their arrays."""
    sizes = copy_strided.arguments(view.shape, _strides(view), _strides(out_view))
    return run(Variant.of("copy.strided", size=source.itemsize), {"y": out, "x": source}, sizes)["y"]


def _random(shape: tuple[int, ...], size: int) -> np.ndarray:
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
    np.testing.assert_array_equal(_copy(source, view, out, out), view)


@pytest.mark.parametrize("size", [1, 4])
def test_slice_with_steps_leaves_the_rest_alone(size):
    source, out = _random((9, 40, 11), size), poison((9, 40, 21), DTYPES[size])
    view, out_view = source[::2, :39:3, :7], out[:5, :13, :14:2]
    expected = out.copy()
    expected[:5, :13, :14:2] = view
    np.testing.assert_array_equal(_copy(source, view, out, out_view), expected)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_negative_steps(order):
    source = _random((40, 50), 4)
    view = source[::-1, 45:3:-2].transpose(order)
    out = poison(view.shape)
    sizes = copy_strided.arguments(view.shape, _strides(view), _strides(out))
    offset = 4 * (39 * 50 + 45)
    got = run(Variant.of("copy.strided", size=4), {"y": out, "x": source}, sizes, offsets={"x": offset})["y"]
    np.testing.assert_array_equal(got, view)


@pytest.mark.parametrize("run_length", [1, 15, 16, 17, 63, 64, 65, 9000])
def test_contiguous_runs(run_length):
    source = _random((3, run_length + 5), 4)
    view = source[:, :run_length]
    out = poison(view.shape)
    np.testing.assert_array_equal(_copy(source, view, out, out), view)


def test_expand():
    source = _random((3, 1, 5), 4)
    view = np.broadcast_to(source, (2, 3, 70, 5))
    out = poison(view.shape)
    np.testing.assert_array_equal(_copy(source, view, out, out), view)
    wide = np.broadcast_to(_random((3, 1), 4), (3, 70))
    out = poison(wide.shape)
    np.testing.assert_array_equal(_copy(_random((3, 1), 4), wide, out, out), wide)


def test_depth_to_space():
    source = _random((2, 8, 5, 7), 4)
    view = source.reshape(2, 2, 2, 2, 5, 7).transpose(0, 3, 4, 1, 5, 2)
    out = poison(view.shape)
    np.testing.assert_array_equal(_copy(source, view, out, out), view)


def test_scalar_and_empty():
    source = _random((1,), 8)
    np.testing.assert_array_equal(_copy(source, source, poison((1,), np.int64), poison((1,), np.int64)), source)
    empty = np.zeros((3, 0, 2), np.float32)
    assert _copy(empty, empty, empty, empty).size == 0


def test_merging_follows_symbolic_sizes():
    n, h = symbol("N"), symbol("H")
    sizes = copy_strided.arguments((n, 3, h, 8), (24 * h, 8 * h, 8, 1), (24 * h, 8 * h, 8, 1))
    assert evaluate(sizes["d5"], {"N": 2, "H": 5}) == 2 * 3 * 5 * 8
    assert sizes["d4"] == 1
    assert copy_strided.merged_rank((n, 3, h), (3 * h, h, 1), (3 * h, 1, 3)) == 3


def test_too_many_dims_are_refused():
    with pytest.raises(InternalError, match="7 separate dims"):
        copy_strided.arguments((2,) * 7, (1, 2, 4, 8, 16, 32, 64), (64, 32, 16, 8, 4, 2, 1))


@pytest.mark.parametrize(("size", "bits"), [(1, 0x7B), (2, 0x7BCD), (4, 0x3F800000), (8, -5)])
def test_fill(size, bits):
    count = 32768 + 77
    out = run(
        Variant.of("copy.fill", size=size), {"y": poison((count,), f"u{size}")}, copy_fill.arguments(count, bits)
    )["y"]
    assert (out == np.array(bits).astype(np.int64).astype(f"u{size}")).all()
