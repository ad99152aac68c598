"""The emulator against Numba's simulator, which runs the Python source of a kernel and knows nothing of PTX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnc.ptx import Emulator, parse_ptx

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The simulator's results by kernel name."""
    pytest.importorskip("numba_cuda")
    path = tmp_path_factory.mktemp("simulator") / "results.npz"
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.ptx.simulated_kernels", str(path)]
    subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=120)
    return dict(np.load(path))


def array_argument(emulator: Emulator, array: np.ndarray) -> list[int]:
    """An array as Numba's kernels take it: two owners, elements, bytes of one, address, shape, strides."""
    address = emulator.memory.allocate(array)
    return [0, 0, array.size, array.itemsize, address, *array.shape, *array.strides]


@pytest.mark.parametrize(
    "name", ["block_sum", "branches", "histogram", "transpose", "integers", "neighbours", "product"]
)
@pytest.mark.parametrize("native", [True, False])
def test_agrees_with_the_simulator(name: str, native: bool, simulated: dict[str, np.ndarray]) -> None:
    from numba import cuda, types

    from tests.ptx.simulated_kernels import BLOCKS, CASES, THREADS

    kernel, x, y = CASES[name]
    signature = tuple(types.Array(getattr(types, array.dtype.name), array.ndim, "C") for array in (x, y))
    text, _ = cuda.compile_ptx(kernel, signature, cc=(8, 0))
    module = parse_ptx(text)
    emulator = Emulator(module, native=native)
    result = y.copy()
    arguments = [*array_argument(emulator, x), *array_argument(emulator, result)]
    emulator.launch(next(iter(module.entries)), (BLOCKS,), (THREADS,), arguments)
    # The compiler fuses multiplications with additions, the simulator rounds twice.
    np.testing.assert_allclose(result, simulated[name], rtol=1e-6, atol=1e-6)
