"""What Numba makes of a kernel's loops, on disk beside the compiled kernels: no process lowers what another has.

Kernels of a network share few lowerings, which take longer than all else of their first variant.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from types import CodeType

from cnnc.runtime.jit import cache
from cnnc.runtime.jit.cache_key import CPU_COMPILER, package_versions, source_digest

_IR = b"CNNCLOOP"
_RUNTIME = "cnnc.runtime."


def load(module: str, code: CodeType, closure: tuple[object, ...]) -> str | None:
    """Text that ``store`` kept for this function; None: absent, damaged, or of another version of anything."""
    name = _file(module, code, closure)
    found = cache.load_record(name, _IR) if name else None
    try:
        return zlib.decompress(found[1]).decode() if found else None
    except zlib.error:
        return None


def store(module: str, code: CodeType, closure: tuple[object, ...], text: str) -> None:
    """Keep the LLVM IR of a function.

    Args:
        module: where the function is defined. What lies outside of the runtime has no known sources, and is not kept.
        closure: what its IR depends on besides the sources, with a ``repr`` that tells it apart.
    """
    name = _file(module, code, closure)
    if name:
        cache.store_record(name, _IR, 0, zlib.compress(text.encode(), 1))


def _file(module: str, code: CodeType, closure: tuple[object, ...]) -> str | None:
    if not module.startswith(_RUNTIME):
        return None
    place = (module, code.co_qualname, code.co_firstlineno, sys.implementation.cache_tag)
    versions = package_versions(CPU_COMPILER.packages)
    parts = (repr(place), repr(closure), versions, str(cache.ABI_VERSION), source_digest(module))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{key}.loops"
