"""Kernels by variant: from memory, from the cache on disk, or compiled."""

from __future__ import annotations

import threading

from cnnc.runtime.cpu import kernel_module
from cnnc.runtime.jit import cache
from cnnc.runtime.jit.blob import Blob
from cnnc.runtime.jit.cache_key import cache_key
from cnnc.runtime.jit.memory import load_object, map_blob
from cnnc.runtime.jit.target import host_target, maps_blobs
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


def load_if_cached(variant: Variant, target: Target | None = None) -> bool:
    """Load the kernel if that needs no compiler; whether it is loaded now. Safe from any thread."""
    target = target or host_target()
    with _lock:
        if (variant, target) in _loaded:
            return True
        blob = _cached_blob(variant, target) if maps_blobs() else None
        if blob is None:
            return False
        _loaded[variant, target] = map_blob(blob)
        return True


def _load(variant: Variant, target: Target) -> int:
    if maps_blobs():
        return map_blob(compiled_blob(variant, target))
    from cnnc.runtime.jit.compile import compile_object
    from cnnc.runtime.jit.link import ENTRY_SYMBOL

    return load_object(compile_object(variant, target), ENTRY_SYMBOL)


def compiled_blob(variant: Variant, target: Target | None = None) -> Blob:
    """The kernel's code for an x86-64 target, from the cache where it is there; compiled and kept otherwise."""
    target = target or host_target()
    blob = _cached_blob(variant, target)
    if blob is None:
        from cnnc.runtime.jit.compile import compile_object
        from cnnc.runtime.jit.link import link

        blob = link(compile_object(variant, target))
        cache.store(_key(variant, target), blob)
    return blob


def _cached_blob(variant: Variant, target: Target) -> Blob | None:
    return cache.load(_key(variant, target))


def _key(variant: Variant, target: Target) -> str:
    return cache_key(variant, kernel_module(variant.kernel), target)


def is_cached(variant: Variant, target: Target | None = None) -> bool:
    """Whether loading the variant needs no compiler."""
    target = target or host_target()
    if (variant, target) in _loaded:
        return True
    return maps_blobs() and _cached_blob(variant, target) is not None


def assembly(variant: Variant, target: Target | None = None) -> str:
    """Assembly text of the variant, for inspection."""
    from cnnc.runtime.jit.compile import assembly as compile_assembly

    return compile_assembly(variant, target or host_target())


def llvm_ir(variant: Variant, target: Target | None = None, optimised: bool = True) -> str:
    """LLVM IR of the variant, for inspection."""
    from cnnc.runtime.jit.compile import llvm_ir as compile_ir

    return compile_ir(variant, target or host_target(), optimised)


def object_code(variant: Variant, target: Target | None = None) -> bytes:
    """The variant as a relocatable object with the global symbol ``kernel``, for inspection."""
    from cnnc.runtime.jit.compile import compile_object

    return compile_object(variant, target or host_target())
