"""Runs GPU kernels of the library on the PTX emulator: no GPU is needed. Skips tests without numba-cuda.

With ``pytest -m gpu`` they run on this machine's GPU, which counts nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from cnnc.ptx import Counters, Emulator, Module, parse_ptx
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.compile import ENTRY
from cnnc.runtime.cuda.kernel_library import compiled_ptx
from cnnc.runtime.cuda.target import capability, cuda_target
from cnnc.runtime.kernel import Variant
from tests.cuda.devices import Uncounted, gpu, launch_on

Array = np.ndarray[Any, Any]


def launch(
    variant: Variant,
    buffers: Mapping[str, Array | None],
    sizes: Mapping[str, int],
    *,
    architecture: str = "sm_80",
    blocks: Sequence[int] | None = None,
    offsets: Mapping[str, int] | None = None,
) -> Any:
    """Run a kernel over arrays, which it reads and writes in place; None for an absent buffer.

    Args:
        blocks: numbers of the thread blocks to run; None for all. A GPU runs all.
        offsets: byte offsets of buffer arguments into their arrays, 0 unless given.

    Returns:
        Counters of the emulator, or ``Uncounted``.
    """
    kernel = kernel_def(variant.kernel)
    assert set(buffers) == set(kernel.buffers)
    assert set(sizes) == set(kernel.sizes)
    for access in kernel.footprint(sizes, variant.options):
        array = buffers[access.buffer]
        assert array is not None, f"{access.buffer} is absent, but in the footprint"
        first = (offsets or {}).get(access.buffer, 0)
        inside = 0 <= first + access.start <= first + access.stop <= array.nbytes
        assert inside, f"footprint of {access.buffer} ends outside of its array"
        assert not access.writes or access.buffer in kernel.writes
    device = gpu()
    if device is not None:
        if capability(cuda_target(device.architecture)) < capability(cuda_target(architecture)):
            pytest.skip(f"{device.name} is {device.architecture}, the kernel needs {architecture}")
        launch_on(device, variant, kernel, buffers, sizes, offsets or {})
        return Uncounted()
    emulator = Emulator(_module(variant, architecture))
    addresses: dict[int, int] = {0: 0}
    for name, array in buffers.items():
        if array is not None and id(array) not in addresses:
            addresses[id(array)] = emulator.memory.allocate(array, name)
    slots = [
        addresses[id(buffers[name])] + (offsets or {}).get(name, 0) if buffers[name] is not None else 0
        for name in kernel.buffers
    ]
    slots += [sizes[name] for name in kernel.sizes]
    items = kernel.items(sizes, variant.options)
    assert isinstance(items, int)
    if items == 0:
        return Counters()
    threads = kernel.threads(variant.options)
    assert threads % 32 == 0 and threads <= 1024
    return emulator.launch(ENTRY, (items,), (threads,), slots, blocks=blocks)


@functools.cache
def _module(variant: Variant, architecture: str) -> Module:
    pytest.importorskip("numba_cuda")
    return parse_ptx(compiled_ptx(variant, cuda_target(architecture)))


def blocked(x: Array, *, pad: float = np.nan) -> Array:
    """[N, C, ...] as [N, C/8, ..., 8]; pad lanes hold ``pad``."""
    n, c = x.shape[:2]
    whole = np.full((n, -(-c // 8) * 8, *x.shape[2:]), pad, x.dtype)
    whole[:, :c] = x
    return np.ascontiguousarray(np.moveaxis(whole.reshape(n, -(-c // 8), 8, *x.shape[2:]), 2, -1))


def plain(x: Array, channels: int) -> Array:
    """The inverse of ``blocked``."""
    return np.moveaxis(x, -1, 2).reshape(x.shape[0], 8 * x.shape[1], *x.shape[2:-1])[:, :channels]
