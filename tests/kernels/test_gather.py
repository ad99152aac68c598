"""gather against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu import gather
from cnnc.runtime.kernel import Variant
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(1, 5, 1), (3, 7, 20), (2, 4, 70)])
def test_gather(dtype, shape):
    outer, axis, inner = shape
    x = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    indices = np.array([0, axis - 1, -1, -axis, 2, 2], np.int64)
    buffers = {"y": poison((outer, len(indices), inner), dtype), "x": x, "indices": indices}
    variant = Variant.of("gather", size=x.itemsize)
    got = run(variant, buffers, gather.arguments(outer, axis, inner, len(indices)))["y"]
    np.testing.assert_array_equal(got, np.take(x, indices, axis=1))


def test_indices_out_of_range_stay_inside():
    x = np.arange(10, dtype=np.float32)
    indices = np.array([10, 1 << 60, -11, -(1 << 60)], np.int64)
    buffers = {"y": poison((4,)), "x": x, "indices": indices}
    got = run(Variant.of("gather", size=4), buffers, gather.arguments(1, 10, 1, 4))["y"]
    np.testing.assert_array_equal(got, [9, 9, 0, 0])
