"""The process's worker threads: daemon threads that sit inside the compiled worker loop, with the GIL released.

One pool per process, shared by all sessions. A call leases the pool; while it is leased, other calls run on their own
caller alone. Every call that runs beside takes a thread off the leased one, so that there are never more threads at
work than the pool has, while that leaves a call its caller: two sessions on two CPUs run on one each. Threads start
when a lease first asks for them. A forked child gets a fresh pool: threads do not survive a fork.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import platform
import sys
import threading
from collections.abc import Callable
from typing import Any

from cnnc.runtime import worker_loop as loop
from cnnc.runtime.aligned_memory import address_of, aligned_slots
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.kernel import Variant

LoopEntry = Callable[[int, int, int, int], None]
"""The compiled worker loop: (address of job or control block, worker index, role, 0)."""

MAX_THREADS = 256
_SPINS = 2_000
_YIELDS = 50
_POLL_NANOSECONDS = 50_000
_FUTEX_NUMBERS = {"x86_64": 202, "amd64": 202, "aarch64": 98, "arm64": 98, "riscv64": 98}


LOOP_VARIANT = Variant.of(loop.KERNEL.name)
"""What to load for ``loop_entry``."""


def loop_entry(address: int) -> LoopEntry:
    """A Python callable for the loop at ``address``; calls release the GIL."""
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(address)


class Pool:
    """Worker threads around one control block.

    Args:
        entry: the compiled worker loop.
        max_threads: most threads of a job, the caller included.
    """

    def __init__(self, entry: LoopEntry, max_threads: int) -> None:
        self.max_threads = max(1, min(max_threads, MAX_THREADS))
        self.entry = entry
        self._lock = threading.Lock()
        self._calls = 0
        self._leased = 0
        self._threads: list[threading.Thread] = []
        self._current_cpu = _current_cpu()
        self._spread_from = (-1, 0)
        self._control = aligned_slots(loop.CONTROL_SLOTS)
        self.control_address = address_of(self._control)
        self._fill_control()

    def _fill_control(self) -> None:
        control = self._control
        control[loop.SPINS], control[loop.YIELDS] = _SPINS, _YIELDS
        control[loop.TIMEOUT + 1] = _POLL_NANOSECONDS
        if sys.platform == "win32":
            kernel32 = ctypes.CDLL("kernel32")
            control[loop.YIELD], control[loop.SLEEP] = _address(kernel32.SwitchToThread), _address(kernel32.Sleep)
            control[loop.SHORT_SLEEP], control[loop.LONG_SLEEP] = 0, 1  # milliseconds
            return
        libc = ctypes.CDLL(None)
        control[loop.YIELD], control[loop.SLEEP] = _address(libc.sched_yield), _address(libc.usleep)
        control[loop.SHORT_SLEEP], control[loop.LONG_SLEEP] = 100, 1000  # microseconds
        futex = _FUTEX_NUMBERS.get(platform.machine().lower())
        if sys.platform == "linux" and futex is not None:
            control[loop.SYSCALL] = _address(libc.syscall)
            control[loop.FUTEX_NUMBER] = futex

    def enter(self, threads: int) -> int:
        """Begin a call; where it gets the pool, its workers wake.

        Returns:
            Threads of the call, its caller included; above 1 it has leased the pool. Pass it to ``leave`` in the end.
        """
        with self._lock:
            granted = 1 if self._leased else max(1, min(threads, self.max_threads - self._calls))
            if granted > 1:
                while len(self._threads) < granted - 1:
                    self._start_worker(len(self._threads) + 1)
                self._spread()
                self._leased, self._control[loop.CAP] = granted, 1
            self._calls += 1
            self._limit()
            return granted

    def leave(self, granted: int) -> None:
        """End a call that ``enter`` granted so many threads."""
        with self._lock:
            self._calls -= 1
            if granted > 1:
                self._leased = 0
            self._limit()

    def _limit(self) -> None:
        """Set how many threads the leased call has now. Workers beyond end the chunk that they hold, and sleep."""
        if not self._leased:
            return
        threads = max(1, min(self._leased, self.max_threads - self._calls + 1))
        before, self._control[loop.CAP] = self._control[loop.CAP], threads
        if threads > before:
            self.entry(self.control_address, 0, loop.ROLE_WAKE, 0)

    def _spread(self) -> None:
        """Keep the workers off the caller's CPU.

        Linux often wakes a thread on the CPU of the one that wakes it and moves it only after milliseconds; meanwhile
        the two take turns, and two threads are no faster than one.
        """
        if self._current_cpu is None:
            return
        place = (self._current_cpu(), len(self._threads))
        if place == self._spread_from:
            return
        others = os.sched_getaffinity(0) - {place[0]}
        if not others:
            return
        for thread in self._threads:
            if thread.native_id is not None:
                with contextlib.suppress(OSError):  # a sandbox may forbid it: slower, but right
                    os.sched_setaffinity(thread.native_id, others)
        self._spread_from = place

    def stop(self) -> None:
        """End all workers; for interpreter exit, before code that they run in may be unmapped, and for tests."""
        self._control[loop.STOP] = 1
        self._control[loop.CAP] = MAX_THREADS
        self.entry(self.control_address, 0, loop.ROLE_WAKE, 0)
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _start_worker(self, index: int) -> None:
        thread = threading.Thread(
            target=self.entry,
            args=(self.control_address, index, loop.ROLE_WORKER, 0),
            name=f"cnnc-worker-{index}",
            daemon=True,
        )
        thread.start()
        self._threads.append(thread)


def _current_cpu() -> Callable[[], int] | None:
    """The C library's function that tells the calling thread's CPU; None where threads cannot be kept off one."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    function: Callable[[], int] | None = getattr(ctypes.CDLL(None), "sched_getcpu", None)
    return function


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class _ProcessPool:
    """Holds the pool of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pool: Pool | None = None

    def get(self, load_kernel: Callable[[Variant], int]) -> Pool:
        pool = self.pool
        if pool is not None:
            return pool
        address = load_kernel(LOOP_VARIANT)
        with self.lock:
            if self.pool is None:
                self.pool = Pool(loop_entry(address), available_threads())
            return self.pool

    def forget(self) -> None:
        """In a forked child: the parent's threads and lock holders do not exist here."""
        self.lock = threading.Lock()
        self.pool = None

    def stop(self) -> None:
        if self.pool is not None:
            self.pool.stop()


_process = _ProcessPool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.forget)
atexit.register(_process.stop)


def process_pool(load_kernel: Callable[[Variant], int]) -> Pool:
    """The pool of this process, made on first use, for which ``load_kernel`` finds the worker loop."""
    return _process.get(load_kernel)


@functools.cache
def fp_mode(keep_denormals: bool) -> int:
    """Floating point control word while kernels run: round to nearest, exceptions masked, denormals flushed or kept.

    MXCSR on x86-64 (FTZ and DAZ), FPCR on aarch64 (FZ); elsewhere the loop leaves the control word alone.
    """
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return 0x1F80 if keep_denormals else 0x9FC0
    if machine in ("aarch64", "arm64"):
        return 0 if keep_denormals else 1 << 24
    return 0
