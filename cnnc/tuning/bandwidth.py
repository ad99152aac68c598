"""How fast one thread reads from each level of the memory: vector loads over arrays of several sizes, nothing else."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnc.runtime.jit.target import host_target, maps_blobs

VECTORS = 8
"""Loads in one loop iteration, each into a sum of its own."""

USUAL_CACHES: Mapping[str, int] = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
"""Bytes, where the system does not tell."""

_SAMPLE_BYTES = 8 << 20
"""Read in one sample at least, about a quarter of a millisecond."""
_MOST_ARRAY_BYTES = 128 << 20


def cache_sizes() -> dict[str, int]:
    """Bytes of the data caches of a core, as Linux tells them; usual ones elsewhere."""
    found: dict[str, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}"] = int(size[:-1]) << 10
    return {**USUAL_CACHES, **found}


class MemoryReader:
    """A compiled loop of loads, to be run over an array of any size."""

    def __init__(self) -> None:
        self._block = VECTORS * host_target().vector_bytes
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(_compile_loop())

    def levels(self) -> dict[str, float]:
        """Bytes per second by level: L1, L2, L3 and DRAM, from arrays of half the cache (of a quarter of L3, which
        other cores share) and of four times the last one, at most 128 MiB."""
        sizes = cache_sizes()
        arrays = {"L1": sizes["L1"] // 2, "L2": sizes["L2"] // 2, "L3": max(sizes["L3"] // 4, 2 * sizes["L2"])}
        arrays["DRAM"] = min(4 * sizes["L3"], _MOST_ARRAY_BYTES)
        return {level: self.rate(size) for level, size in arrays.items()}

    def rate(self, size: int) -> float:
        """Bytes per second over an array of about ``size`` bytes that has been read before: the best of five."""
        blocks = max(1, size // self._block)
        array = np.ones(blocks * self._block // 4 + 16, np.float32)
        address = -(-array.ctypes.data // 64) * 64
        repeats = max(1, _SAMPLE_BYTES // (blocks * self._block))
        self._seconds(address, blocks, 1)
        return max(blocks * self._block * repeats / self._seconds(address, blocks, repeats) for _ in range(5))

    def _seconds(self, address: int, blocks: int, repeats: int) -> float:
        arguments = (ctypes.c_int64 * 2)(address, blocks)
        begin = time.perf_counter()
        self._run(ctypes.addressof(arguments), 0, repeats, 0)
        return time.perf_counter() - begin


def _compile_loop() -> int:
    """Address of the loop's code."""
    from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
    from cnnc.runtime.jit.compile import compile_function
    from cnnc.runtime.jit.link import ENTRY_SYMBOL, link
    from cnnc.runtime.jit.memory import load_object, map_blob

    target = host_target()

    def emit(b: VectorBuilder, address: Any, blocks: Any) -> None:
        sums = [b.variable(b.zero()) for _ in range(VECTORS)]
        place = b.variable(address)
        with b.loop(blocks):
            for number, total in enumerate(sums):
                b.set(total, b.add(b.get(total), b.load(b.get(place), number * target.vector_bytes, aligned=True)))
            b.set(place, b.ir.add(b.get(place), b.index(VECTORS * target.vector_bytes)))
        for number, total in enumerate(sums):
            b.store(b.get(total), address, number * target.vector_bytes)

    read: Callable[..., Any] = intrinsic(target, emit, 2)

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        for _ in range(begin, end):
            read(args[0], args[1])

    code = compile_function(kernel, target)
    return map_blob(link(code)) if maps_blobs() else load_object(code, ENTRY_SYMBOL)
