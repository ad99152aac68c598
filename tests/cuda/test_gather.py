"""gather on the emulator against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu import gather
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch
from tests.kernels.harness import poison


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(1, 5, 1), (3, 7, 20), (2, 4, 64)], ids=str)
def test_gather(dtype, shape):
    outer, axis, inner = shape
    x = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    indices = np.array([0, axis - 1, -1, -axis, 2, 2], np.int64)
    y = poison((outer, len(indices), inner), dtype)
    variant = Variant.of("gather", size=x.itemsize)
    launch(variant, {"y": y, "x": x, "indices": indices}, gather.arguments(outer, axis, inner, len(indices)))
    np.testing.assert_array_equal(y, np.take(x, indices, axis=1))


def test_indices_out_of_range_stay_inside():
    x, y = np.arange(10, dtype=np.float32), poison((4,))
    indices = np.array([10, 1 << 60, -11, -(1 << 60)], np.int64)
    launch(Variant.of("gather", size=4), {"y": y, "x": x, "indices": indices}, gather.arguments(1, 10, 1, 4))
    np.testing.assert_array_equal(y, [9, 9, 0, 0])
