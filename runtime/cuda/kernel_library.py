"""GPU kernels by variant: from the cache on disk, or compiled and kept there. The folder is that of the CPU's kernels.

With everything cached neither numba nor NVIDIA's toolkit is touched.
"""

from __future__ import annotations

import functools
import struct

from cnnc.runtime.cuda import kernel_module
from cnnc.runtime.cuda.cubin import Cubin, ResourceUse
from cnnc.runtime.cuda.target import ptx_target
from cnnc.runtime.jit import cache
from cnnc.runtime.jit.cache_key import Compiler, cache_key
from cnnc.runtime.kernel import Target, Variant

_PACKAGES = ("numba", "llvmlite", "numba_cuda", "nvidia_nvvm", "nvidia_cuda_nvcc", "nvidia_cuda_nvcc_cu12")
_COMPILER = Compiler("cnnc.runtime.cuda.assemble", _PACKAGES)
_PTX, _CUBIN = b"CNNC-PTX", b"CNNCUBIN"
_RESOURCES = struct.Struct("<6I")


def compiled_ptx(variant: Variant, target: Target) -> str:
    """PTX of a variant that can be assembled for the target: see ``compile_ptx`` and ``ptx_target``.

    Raises:
        OptionError: it is not cached, and what compiles it is not installed.
    """
    target = ptx_target(target)
    name = f"{_key(variant, target)}.ptx"
    found = cache.load_record(name, _PTX)
    if found is not None:
        return found[1].decode()
    from cnnc.runtime.cuda.compile import compile_ptx

    text = compile_ptx(variant, target)
    cache.store_record(name, _PTX, 0, text.encode())
    return text


def compiled_cubin(variant: Variant, target: Target) -> Cubin:
    """Machine code of a variant for the target's architecture.

    Raises:
        OptionError: it is not cached, and what compiles it is not installed.
    """
    cubin = _cached_cubin(variant, target)
    if cubin is None:
        from cnnc.runtime.cuda.assemble import assemble

        cubin = assemble(compiled_ptx(variant, target), target)
        use = cubin.resources
        facts = (use.registers, use.shared_bytes, use.stack_bytes)
        numbers = _RESOURCES.pack(*facts, use.spill_store_bytes, use.spill_load_bytes, use.barriers)
        cache.store_record(_cubin_file(variant, target), _CUBIN, 0, numbers + cubin.image)
    return cubin


def is_cached(variant: Variant, target: Target) -> bool:
    """Whether machine code of the variant takes no compiler."""
    return _cached_cubin(variant, target) is not None


def _cached_cubin(variant: Variant, target: Target) -> Cubin | None:
    found = cache.load_record(_cubin_file(variant, target), _CUBIN)
    if found is None or len(found[1]) <= _RESOURCES.size:
        return None
    data = found[1]
    return Cubin(data[_RESOURCES.size :], ResourceUse(*_RESOURCES.unpack_from(data)))


def _cubin_file(variant: Variant, target: Target) -> str:
    return f"{_key(variant, target)}.cubin"


@functools.cache
def _key(variant: Variant, target: Target) -> str:
    return cache_key(variant, kernel_module(variant.kernel), target, _COMPILER)
