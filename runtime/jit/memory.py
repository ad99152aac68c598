"""Executable memory: blobs are mapped read-write, filled, then turned read-execute; never writable and executable."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

from cnnc.errors import InternalError
from cnnc.runtime.jit.blob import Blob

_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MAP_PRIVATE, _MAP_ANONYMOUS = 0x02, 0x20


def map_blob(blob: Blob) -> int:
    """Map ``blob`` read-execute for the rest of the process; the address of its entry.

    Raises:
        InternalError: the operating system refuses the mapping (for instance under a strict security policy).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = -(-len(blob.code) // mmap.PAGESIZE) * mmap.PAGESIZE
    address = libc.mmap(None, size, _PROT_READ | _PROT_WRITE, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise InternalError(f"mapping {size} bytes for a kernel failed (errno {ctypes.get_errno()})")
    ctypes.memmove(address, blob.code, len(blob.code))
    if libc.mprotect(address, size, _PROT_READ | _PROT_EXEC) != 0:
        raise InternalError(f"making a kernel executable failed (errno {ctypes.get_errno()})")
    return int(address) + blob.entry


_engines: list[Any] = []
"""Execution engines own the code they loaded: kept for the rest of the process."""


def load_object(data: bytes, symbol: str) -> int:
    """Load a native object through LLVM's MCJIT; the address of ``symbol``. For systems where blobs are not mapped."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # The engine takes ownership of its TargetMachine: one machine per engine.
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(data))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(symbol))
