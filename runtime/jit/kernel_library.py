"""Kernels by variant: from memory, from the cache on disk, or compiled."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import Queue

from cnnc.errors import InternalError
from cnnc.runtime.cpu import kernel_module
from cnnc.runtime.jit import cache
from cnnc.runtime.jit.link import ENTRY_SYMBOL, Blob, link
from cnnc.runtime.jit.memory import load_object, map_blob
from cnnc.runtime.jit.target import host_target, maps_blobs
from cnnc.runtime.jit.worker import Worker
from cnnc.runtime.kernel import Target, Variant

_loaded: dict[tuple[Variant, Target], int] = {}
_lock = threading.Lock()


def load_kernel(variant: Variant, target: Target | None = None) -> int:
    """Address of the kernel's C function; the code stays loaded for the rest of the process. Safe from any thread."""
    target = target or host_target()
    address = _loaded.get((variant, target))
    if address is not None:
        return address
    with _lock:
        if (variant, target) not in _loaded:
            _loaded[variant, target] = _load(variant, target)
        return _loaded[variant, target]


def _load(variant: Variant, target: Target) -> int:
    if maps_blobs():
        return map_blob(compiled_blob(variant, target))
    from cnnc.runtime.jit.compile import compile_object

    return load_object(compile_object(variant, target), ENTRY_SYMBOL)


def compiled_blob(variant: Variant, target: Target | None = None) -> Blob:
    """The kernel's code for an x86-64 target, from the cache where it is there; compiled and kept otherwise."""
    target = target or host_target()
    key = cache.cache_key(variant, kernel_module(variant.kernel), target)
    blob = cache.load(key)
    if blob is None:
        from cnnc.runtime.jit.compile import compile_object

        blob = link(compile_object(variant, target))
        cache.store(key, blob)
    return blob


def is_cached(variant: Variant, target: Target | None = None) -> bool:
    """Whether loading the variant needs no compiler."""
    target = target or host_target()
    if (variant, target) in _loaded:
        return True
    return maps_blobs() and cache.load(cache.cache_key(variant, kernel_module(variant.kernel), target)) is not None


def compile_many(
    variants: Iterable[Variant],
    jobs: int = 1,
    target: Target | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fill the cache with every variant that it lacks, in ``jobs`` processes: Numba compiles under a global lock.

    ``progress(done, total)`` is called as variants become ready. Without a usable cache folder there is nothing to
    fill, and kernels are compiled when they are loaded.
    """
    target = target or host_target()
    missing = [variant for variant in dict.fromkeys(variants) if not is_cached(variant, target)]
    if not missing or not maps_blobs() or cache.cache_folder() is None:
        return
    if jobs <= 1 or len(missing) == 1 or not sys.executable:
        for done, variant in enumerate(missing, 1):
            try:
                compiled_blob(variant, target)
            except Exception as error:  # as a child process would answer
                raise InternalError(f"kernel {variant} did not compile: {error}") from error
            if progress:
                progress(done, len(missing))
        return
    workers: Queue[Worker] = Queue()
    for _ in range(min(jobs, len(missing))):
        workers.put(Worker())

    def compile_one(variant: Variant) -> None:
        worker = workers.get()
        try:
            worker.compile(variant, target)
        finally:
            workers.put(worker)

    try:
        with ThreadPoolExecutor(workers.qsize()) as pool:
            futures = [pool.submit(compile_one, variant) for variant in missing]
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                if progress:
                    progress(done, len(missing))
    finally:
        while not workers.empty():
            workers.get().close()


def assembly(variant: Variant, target: Target | None = None) -> str:
    """Assembly text of the variant, for inspection."""
    from cnnc.runtime.jit.compile import assembly as compile_assembly

    return compile_assembly(variant, target or host_target())


def llvm_ir(variant: Variant, target: Target | None = None, optimised: bool = True) -> str:
    """LLVM IR of the variant, for inspection."""
    from cnnc.runtime.jit.compile import llvm_ir as compile_ir

    return compile_ir(variant, target or host_target(), optimised)
