"""The machine's own limit: multiply-adds in registers, nothing else. Measured beside timings, because clocks move."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.runtime.cpu.conv_packing import PAIR
from cnnc.runtime.jit.target import host_target, maps_blobs

CHAINS = 12
"""Independent sums: more than latency times throughput of an FMA on any CPU so far, fewer than AVX2 has registers."""

ROUNDS = 100_000
"""Loop iterations of one measurement, about a millisecond."""

FREE_SHARE = 0.85
"""Several threads are taken to have a core each if they reach this share of their number times one thread's rate."""


class MachinePeak:
    """A compiled loop of multiply-adds, to be run whenever the peak is asked for.

    Args:
        products: of what: f32, or bf16 on a CPU that has them.
    """

    def __init__(self, products: str = "f32") -> None:
        self._lanes = host_target().lanes
        self._flops = 2 * self._lanes * (PAIR if products == "bf16" else 1)
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(_compile_loop(products))

    def flops(self) -> float:
        """FLOP/s of one thread: the best of five."""
        return max(self._rate(ROUNDS) for _ in range(5))

    def scaling(self, threads: int) -> float:
        """What ``threads`` threads reach together over what one reaches alone; about ``threads`` on free cores."""
        alone = self.flops()
        rates = [0.0] * threads
        start = threading.Barrier(threads)

        def work(index: int) -> None:
            start.wait()
            rates[index] = self._rate(20 * ROUNDS)

        workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(rates) / alone

    def _rate(self, rounds: int) -> float:
        # ctypes lets go of the interpreter's lock while the loop runs.
        sums = np.zeros(CHAINS * self._lanes + 16, np.float32)
        address = -(-sums.ctypes.data // 64) * 64
        arguments = (ctypes.c_int64 * 1)(address)
        begin = time.perf_counter()
        self._run(ctypes.addressof(arguments), 0, rounds, 0)
        return rounds * CHAINS * self._flops / (time.perf_counter() - begin)


def free_cores_check(threads: int) -> Callable[[], bool] | None:
    """A function that says whether ``threads`` threads of pure multiply-adds get a core each; None for one thread."""
    if threads == 1:
        return None
    peak = MachinePeak()
    return lambda: peak.scaling(threads) >= FREE_SHARE * threads


def _compile_loop(products: str) -> int:
    """Address of the loop's code."""
    from cnnc.runtime.cpu.tile_arithmetic import arithmetic
    from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
    from cnnc.runtime.jit.compile import compile_function
    from cnnc.runtime.jit.link import ENTRY_SYMBOL, link
    from cnnc.runtime.jit.memory import load_object, map_blob

    target = host_target()
    step = arithmetic("f32", wide=False, products=products)

    def emit(b: VectorBuilder, address: Any, count: Any) -> None:
        sums = [b.variable(b.load(address)) for _ in range(CHAINS)]
        factor = step.weights(b, address, 0)
        with b.loop(count):
            for total in sums:
                b.set(total, step.multiply_add(b, factor, factor, b.get(total)))
            b.clobber_memory()
        for number, total in enumerate(sums):
            b.store(b.get(total), address, number * target.vector_bytes)

    loop: Callable[..., Any] = intrinsic(target, emit, 2)

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        loop(args[0], end)

    code = compile_function(kernel, target)
    return map_blob(link(code)) if maps_blobs() else load_object(code, ENTRY_SYMBOL)
