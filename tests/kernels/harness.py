"""Runs one kernel the hard way: memory between guard pages, several splits of the work items, poisoned scratch.

``run`` places every buffer so that its declared footprint ends (then starts) at an inaccessible page: a kernel that
touches a byte outside its footprint crashes the test. Every split of the items must give the same bytes, and buffers
that the footprint does not write must come back unchanged. Where the kernel says that a result may lie over an operand,
it is also run like that.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.jit.kernel_library import load_kernel
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.guarded import Guarded

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def poison(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """An array of bytes 0xFF: NaN for floats, so that an element which is read before it is written shows."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(b"\xff" * (count * dtype.itemsize), dtype).reshape(shape).copy()


def named(value: Any) -> str:
    """What a parameter of a test is called: targets by their CPU."""
    return f"{value.cpu}{value.features}" if isinstance(value, Target) else str(value)


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
    for written, read in kernel.inplace(sizes, variant.options):
        if buffers[read] is None or (offsets or {}).get(written, 0) != (offsets or {}).get(read, 0):
            continue
        for split in _splits(items):
            over = _run_once(
                kernel, variant, entry, buffers, sizes, offsets or {}, split, False, overlay={written: read}
            )
            same = is_result_over_operand(over[written], outcomes[0][written], buffers[written], buffers[read])
            assert same, f"{written} over {read} is not what it is apart"
    return outcomes[0]


def is_result_over_operand(got: Any, apart: Any, before: Any, operand: Any) -> bool:
    """Whether ``got``, computed over ``operand``, is the result ``apart``, and the operand where nothing is written."""
    got, apart, before, operand = (
        np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (got, apart, before, operand)
    )
    return bool(np.all((got == apart) | ((apart == before) & (got == operand[: got.size]))))


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
    overlay: Mapping[str, str] | None = None,
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
    overlay = overlay or {}
    bases: dict[str, int] = {}
    for name in (*(name for name in kernel.buffers if name not in overlay), *overlay):
        array = buffers[name]
        if array is None:
            assert name not in spans, f"the footprint names the unused buffer {name}"
            bases[name] = 0
            continue
        (low, high), offset = spans.get(name, [0, 0]), offsets.get(name, 0)
        inside = offset + low >= 0 and offset + high <= array.nbytes
        assert inside, f"{name}: footprint {low}..{high} at {offset} of an array of {array.nbytes} bytes"
        if name in overlay:
            memories[name] = memories[overlay[name]]
            assert (low, high) == tuple(spans.get(overlay[name], [0, 0])), f"{name} and {overlay[name]} lie differently"
            continue
        memories[name] = memory = Guarded(high - low, at_start)
        _bytes(memory, high - low)[:] = array.reshape(-1).view(np.uint8)[offset + low : offset + high]
        bases[name] = memory.address - low
    bases |= {name: bases[read] for name, read in overlay.items()}
    block = [bases[name] for name in kernel.buffers] + [int(sizes[name]) for name in kernel.sizes]
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
        if name not in written and name not in overlay.values():
            assert after.tobytes() == array.tobytes(), f"{name} was written against the footprint"
        outcome[name] = after.reshape(array.shape)
    for memory in {id(memory): memory for memory in (*memories.values(), scratch)}.values():
        memory.free()
    return outcome


def _bytes(memory: Guarded, size: int) -> np.ndarray[Any, Any]:
    return np.frombuffer(memory.bytes(size), np.uint8)
