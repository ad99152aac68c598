"""Products of matrices of bytes on the emulator, against their NumPy meaning: any sizes, junk behind the depth."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.gemm_bytes import STEP, pack_columns
from cnnc.runtime.host.quantized import q_linear_matmul
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch


@pytest.mark.parametrize(("dtype", "a_zero"), [(np.uint8, 121), (np.int8, -7)])
@pytest.mark.parametrize("tile", [(1, 2), (4, 4)])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 37, 11), (9, 700, 23), (4, 16, 16)])
def test_equals_meaning(dtype, a_zero, tile, m, k, n):
    rng, limits = np.random.default_rng(m), np.iinfo(dtype)
    a = rng.integers(limits.min, limits.max, (m, k), dtype=dtype, endpoint=True)
    b = rng.integers(-128, 127, (k, n), dtype=np.int8, endpoint=True)
    scales = np.float32(0.02), rng.uniform(0.01, 0.03, n).astype(np.float32), np.float32(0.4)
    zeros = np.asarray(a_zero, dtype), np.zeros(n, np.int8), np.asarray(5, dtype)
    expected = q_linear_matmul(a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2])
    packed = pack_columns(b.T)
    rows = np.full((m, packed.shape[1]), 77, dtype)
    rows[:, :k] = a
    y = np.full((m, n), 99, dtype)
    buffers = {"y": y, "a": rows, "b": packed, "bias": -a_zero * b.sum(0, dtype=np.int32)}
    buffers["factors"] = scales[0] * scales[1] / scales[2]
    sizes = {"M": m, "N": n, "K": packed.shape[1] // STEP, "a_row": rows.shape[1], "y_row": n}
    sizes |= {"y_zero": 5, "y_least": int(limits.min)}
    element = {"u": "u8", "i": "i8"}[np.dtype(dtype).kind]
    launch(Variant.of("gemm.u8.warps", rows=tile[0], columns=tile[1], element=element), buffers, sizes)
    np.testing.assert_array_equal(y, expected)
