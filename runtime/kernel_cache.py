"""Compiled kernels on disk, whatever they are compiled for."""

from __future__ import annotations

from cnnc.runtime.cuda import kernel_library as gpu_library
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.jit import kernel_library as cpu_library
from cnnc.runtime.jit.cache import cache_folder
from cnnc.runtime.jit.target import maps_blobs
from cnnc.runtime.kernel import Target, Variant


def is_cached(variant: Variant, target: Target) -> bool:
    """Whether loading the variant needs no compiler."""
    return gpu_library.is_cached(variant, target) if is_cuda(target) else cpu_library.is_cached(variant, target)


def compile_into_cache(variant: Variant, target: Target) -> None:
    """Have the variant in the cache.

    Raises:
        OptionError: what compiles it is not installed.
        InternalError: it does not compile.
    """
    if is_cuda(target):
        gpu_library.compiled_cubin(variant, target)
    else:
        cpu_library.compiled_blob(variant, target)


def can_cache(target: Target) -> bool:
    """Whether code for the target is kept at all: there is a usable folder, and this system maps blobs of the CPU."""
    return cache_folder() is not None and (is_cuda(target) or maps_blobs())


def require_compiler(target: Target) -> None:
    """Look whether what compiles for the target is installed, before child processes are started.

    Raises:
        OptionError: it is not, or does not know the architecture.
    """
    if is_cuda(target):
        from cnnc.runtime.cuda.assemble import require_architecture
        from cnnc.runtime.cuda.toolkit import require_compiler as require_toolkit

        require_toolkit()
        require_architecture(target)
