"""Many kernels compiled at once, in child processes: Numba compiles under a global lock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import Queue

from cnnc.errors import InternalError
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.jit.worker import Worker
from cnnc.runtime.kernel import Target, Variant
from cnnc.runtime.kernel_cache import can_cache, compile_into_cache, is_cached, require_compiler
from cnnc.runtime.kernel_table import is_registered_here


def compile_many(
    variants: Iterable[Variant],
    jobs: int = 1,
    target: Target | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fill the cache with every variant that it lacks, in ``jobs`` processes.

    ``progress(done, total)`` is called as variants become ready. Without a usable cache folder there is nothing to
    fill, and kernels are compiled when they are loaded.

    Raises:
        OptionError: what compiles for a GPU is not installed.
        InternalError: a kernel does not compile.
    """
    target = target or host_target()
    missing = [variant for variant in dict.fromkeys(variants) if not is_cached(variant, target)]
    if not missing or not can_cache(target):
        return
    require_compiler(target)
    total = len(missing)

    def tell(done: int) -> None:
        if progress:
            progress(done, total)

    alone = jobs <= 1 or total == 1 or not sys.executable
    # Kernels that only this process knows cannot be named to another.
    here = missing if alone else [variant for variant in missing if is_registered_here(variant.kernel, target)]
    for done, variant in enumerate(here, 1):
        try:
            compile_into_cache(variant, target)
        except Exception as error:  # as a child process would answer
            raise InternalError(f"kernel {variant} did not compile: {error}") from error
        tell(done)
    elsewhere = [variant for variant in missing if variant not in here]
    if elsewhere:
        _compile_in_children(elsewhere, jobs, target, lambda done: tell(len(here) + done))


def _compile_in_children(
    variants: Sequence[Variant], jobs: int, target: Target, progress: Callable[[int], None]
) -> None:
    workers: Queue[Worker] = Queue()
    for _ in range(min(jobs, len(variants))):
        workers.put(Worker())

    def compile_one(variant: Variant) -> None:
        worker = workers.get()
        try:
            worker.compile(variant, target)
        finally:
            workers.put(worker)

    try:
        with ThreadPoolExecutor(workers.qsize()) as pool:
            futures = [pool.submit(compile_one, variant) for variant in variants]
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                progress(done)
    finally:
        while not workers.empty():
            workers.get().close()
