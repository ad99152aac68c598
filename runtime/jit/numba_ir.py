"""Numba function -> unoptimised LLVM IR with a C entry, no reference to the Numba runtime, and nothing of the target.

Numba types and lowers the kernel's Python function; its own optimisation and code generation are bypassed. The code of
intrinsics is left out: they are called by name. So all variants of a kernel that differ in their intrinsics alone share
one lowering, which is the slowest part of a compilation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.codegen import AOTCodeLibrary, AOTCPUCodegen
from numba.core.compiler import Flags, compile_extra
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target

from cnnc.runtime.cpu.vector import Emitted
from cnnc.runtime.jit import lowering_cache
from cnnc.runtime.jit.link import ENTRY_SYMBOL
from cnnc.runtime.jit.type_memo import remembered_types

_lowered: dict[tuple[Any, ...], str] = {}


def numba_ir(function: Callable[..., Any]) -> tuple[str, tuple[Emitted, ...]]:
    """IR of a function with the signature of a kernel, and the intrinsics that it calls by name.

    To be called under Numba's compiler lock.
    """
    key, emitted = _name_intrinsics(function)
    if key is None:
        return _lower(function), ()
    if key not in _lowered:
        _lowered[key] = _lowered_before(function, key)
    return _lowered[key], emitted


def _lowered_before(function: Callable[..., Any], key: tuple[Any, ...]) -> str:
    """IR from the cache on disk where a process kept it."""
    code, *closure = key
    if not all(isinstance(value, (bool, int, str)) for part in closure for value in part[1:]):
        return _lower(function)
    text = lowering_cache.load(function.__module__, code, tuple(closure))
    if text is None:
        text = _lower(function)
        lowering_cache.store(function.__module__, code, tuple(closure), text)
    return text


def _name_intrinsics(function: Callable[..., Any]) -> tuple[tuple[Any, ...] | None, tuple[Emitted, ...]]:
    """Name the intrinsics in the closure after their variables; a key equal for functions of equal IR, or None."""
    closure = _closure(function)
    emitted = {name: value.emitted for name, value in closure.items() if hasattr(value, "emitted")}
    shared = all(name in emitted or _is_fixed(value) for name, value in closure.items())
    for name, code in emitted.items():
        code.symbol = f"cnnc.{name}" if shared else ""
    if not shared:
        return None, ()
    parts = [
        (name, emitted[name].symbol, emitted[name].arity, emitted[name].returns)
        if name in emitted
        else (name, type(value).__name__, value)
        for name, value in closure.items()
    ]
    return (function.__code__, *parts), tuple({code.symbol: code for code in emitted.values()}.values())


def _is_fixed(value: Any) -> bool:
    """Whether a value of a closure gives the same IR wherever it stands, as equal values do.

    Such are whole numbers; intrinsics that are written where they are called; and functions that call no intrinsics.
    What is no number equals itself alone: builders share these.
    """
    if isinstance(value, Dispatcher):
        inner = _closure(value.py_func).values()
        return not any(hasattr(called, "emitted") or isinstance(called, Dispatcher) for called in inner)
    return isinstance(value, (bool, int)) or getattr(value, "written_in_place", False)


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, cells)}


def _lower(function: Callable[..., Any]) -> str:
    flags = Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.nrt = False
    i64 = types.int64
    arguments = (types.CPointer(i64), i64, i64, i64)
    context, typing_context = _context(), cpu_target.typing_context
    with remembered_types(typing_context):
        compiled = compile_extra(typing_context, context, function, arguments, types.void, flags, {})
    compiled.library.finalize()
    # Numba's functions return a status and write results through pointers; a kernel returns and raises nothing.
    body = compiled.fndesc.llvm_func_name
    entry = f"""
define void @{ENTRY_SYMBOL}(ptr %args, i64 %begin, i64 %end, i64 %scratch) {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @"{body}"(ptr %result, ptr %error, ptr %args, i64 %begin, i64 %end, i64 %scratch)
  ret void
}}
"""
    return str(compiled.library._final_module) + entry


class _UnoptimisedLibrary(AOTCodeLibrary):  # type: ignore[misc]
    """Collects IR as Numba lowers it."""

    def _optimize_functions(self, ll_module: Any) -> None:
        pass

    def _optimize_final_module(self) -> None:
        pass


class _UnoptimisedCodegen(AOTCPUCodegen):  # type: ignore[misc]
    _library_class = _UnoptimisedLibrary


@functools.cache
def _context() -> Any:
    cpu_target.target_context.refresh()
    return cpu_target.target_context.subtarget(_internal_codegen=_UnoptimisedCodegen("cnnc"), aot_mode=True)
