"""Runs one kernel the hard way: memory between guard pages, several splits of the work items, poisoned scratch.

``run`` places every buffer so that its declared footprint ends (then starts) at an inaccessible page: a kernel that
touches a byte outside its footprint crashes the test. Every split of the items must give the same bytes, and buffers
that the footprint does not write must come back unchanged.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.jit.library import load_kernel
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.guarded import Guarded

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def poison(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """An array of bytes 0xFF: NaN for floats, so that an element which is read before it is written shows."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(b"\xff" * (count * dtype.itemsize), dtype).reshape(shape).copy()


def run(
    variant: Variant,
    buffers: Mapping[str, np.ndarray[Any, Any] | None],
    sizes: Mapping[str, int],
    target: Target | None = None,
    offsets: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray[Any, Any]]:
    """Run ``variant`` and return every buffer afterwards, by name; None stands for an unused buffer argument.

    Arrays must be contiguous. They are copied: the arguments stay as they were. ``offsets`` are byte offsets of buffer
    arguments into their arrays, 0 unless given.
    """
    kernel = kernel_def(variant.kernel)
    assert set(buffers) == set(kernel.buffers), (set(buffers), kernel.buffers)
    assert set(sizes) == set(kernel.sizes), set(sizes) ^ set(kernel.sizes)
    entry = _ENTRY(load_kernel(variant, target))
    items = kernel.items(sizes, variant.options)
    assert isinstance(items, int)
    outcomes = [
        _run_once(kernel, variant, entry, buffers, sizes, offsets or {}, split, at_start)
        for split, at_start in itertools.product(_splits(items), (False, True))
    ]
    for outcome in outcomes[1:]:
        for name, array in outcome.items():
            assert array.tobytes() == outcomes[0][name].tobytes(), f"{name} depends on the split of the work items"
    return outcomes[0]


def _splits(items: int) -> list[list[tuple[int, int]]]:
    """All items at once; in chunks of two, last chunk first; and one by one for short runs."""
    pairs = [(begin, min(begin + 2, items)) for begin in range(0, items, 2)][::-1]
    single = [(item, item + 1) for item in range(items)] if items < 100 else [(0, 1), (1, items)]
    return [[(0, items)], pairs, single]


def _run_once(
    kernel: Any,
    variant: Variant,
    entry: Any,
    buffers: Mapping[str, np.ndarray[Any, Any] | None],
    sizes: Mapping[str, int],
    offsets: Mapping[str, int],
    split: list[tuple[int, int]],
    at_start: bool,
) -> dict[str, np.ndarray[Any, Any]]:
    spans: dict[str, list[int]] = {}
    written: set[str] = set()
    for access in kernel.footprint(sizes, variant.options):
        if access.start < access.stop:
            low, high = spans.setdefault(access.buffer, [access.start, access.stop])
            spans[access.buffer] = [min(low, access.start), max(high, access.stop)]
        if access.writes:
            assert access.buffer in kernel.writes, f"{access.buffer} is written, but not among {kernel.writes}"
            written.add(access.buffer)
    memories: dict[str, Guarded] = {}
    block: list[int] = []
    for name in kernel.buffers:
        array = buffers[name]
        if array is None:
            assert name not in spans, f"the footprint names the unused buffer {name}"
            block.append(0)
            continue
        (low, high), offset = spans.get(name, [0, 0]), offsets.get(name, 0)
        inside = offset + low >= 0 and offset + high <= array.nbytes
        assert inside, f"{name}: footprint {low}..{high} at {offset} of an array of {array.nbytes} bytes"
        memories[name] = memory = Guarded(high - low, at_start)
        _bytes(memory, high - low)[:] = array.reshape(-1).view(np.uint8)[offset + low : offset + high]
        block.append(memory.address - low)
    block += [int(sizes[name]) for name in kernel.sizes]
    arguments = np.array(block, np.int64)
    needed = kernel.scratch_bytes(sizes, variant.options)
    scratch = Guarded(-(-needed // 64) * 64, at_start=False)
    for begin, end in split:
        ctypes.memset(scratch.address, 0xFF, needed)
        entry(arguments.ctypes.data, begin, end, scratch.address)
    outcome: dict[str, np.ndarray[Any, Any]] = {}
    for name, memory in memories.items():
        array = buffers[name]
        assert array is not None
        after = array.copy().reshape(-1)
        (low, high), offset = spans.get(name, [0, 0]), offsets.get(name, 0)
        after.view(np.uint8)[offset + low : offset + high] = _bytes(memory, high - low)
        if name not in written:
            assert after.tobytes() == array.tobytes(), f"{name} was written against the footprint"
        outcome[name] = after.reshape(array.shape)
    for memory in (*memories.values(), scratch):
        memory.free()
    return outcome


def _bytes(memory: Guarded, size: int) -> np.ndarray[Any, Any]:
    return np.frombuffer(memory.bytes(size), np.uint8)
