"""Kernels over arrays on the emulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.emulation import compile_arrays, launch_arrays, predict
from cnnc.errors import InputError
from cnnc.ptx import AccessError
from cnnc.runtime.cuda.device_facts import A100

Array = np.ndarray[Any, Any]
cuda = pytest.importorskip("numba_cuda") and pytest.importorskip("numba.cuda")


def scale(x: Any, y: Any, factor: Any, offset: Any) -> None:
    row, column = cuda.grid(2)
    if row < x.shape[0] and column < x.shape[1]:
        y[row, column] = x[row, column] * factor + offset


@pytest.fixture(scope="module", autouse=True)
def _assembler() -> None:
    from cnnc.runtime.cuda.toolkit import find_program

    if find_program("ptxas") is None or find_program("nvdisasm") is None:
        pytest.skip("NVIDIA's assembler is not installed")


def test_arrays_and_numbers() -> None:
    x = np.arange(35, dtype=np.float32).reshape(5, 7)
    y = np.full_like(x, np.nan)
    profile = launch_arrays(scale, (1, 1), (8, 8), [x, y, 0.5, 3])
    np.testing.assert_array_equal(y, x * np.float32(0.5) + 3)
    assert (profile.blocks, profile.threads, profile.sampled) == (1, 64, 1)
    assert profile.tensor_bytes == x.nbytes + y.nbytes
    assert profile.variant.kernel == "scale"
    assert profile.resources.registers > 0
    # Threads of a warp go down a column: each touches a sector of its own.
    assert profile.counters.sectors > 1.5 * profile.counters.least_sectors
    assert predict(profile, A100).seconds > A100.launch_seconds


def test_one_array_twice_is_one_allocation() -> None:
    x = np.ones((4, 4), np.float32)
    profile = launch_arrays(scale, (1, 1), (4, 4), [x, x, 2.0, 1])
    np.testing.assert_array_equal(x, np.full((4, 4), 3, np.float32))
    assert profile.tensor_bytes == x.nbytes


def test_a_kernel_is_compiled_once_for_types() -> None:
    x, y = np.ones((2, 3), np.float32), np.ones((9, 9), np.float32)
    first = compile_arrays(scale, [x, x, 1.0, 1])
    assert compile_arrays(scale, [y, y, 2.0, 2]) is first
    assert ".entry kernel(" in first.ptx
    assert compile_arrays(scale, [x.astype(np.float64), x, 1.0, 1]) is not first


def test_an_access_outside_is_an_error() -> None:
    def beyond(x: Any) -> None:
        x[cuda.grid(1)] = 1

    with pytest.raises(AccessError, match="of x, which has 124"):
        launch_arrays(beyond, 1, 32, [np.zeros(31, np.float32)])


@pytest.mark.parametrize(
    ("argument", "message"), [(np.zeros((4, 4)).T[1:], "not C-contiguous"), ("text", "str is no argument")]
)
def test_what_no_kernel_takes(argument: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        launch_arrays(scale, 1, 32, [argument])
