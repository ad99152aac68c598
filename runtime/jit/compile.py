"""Numba function -> LLVM IR -> object code for a given target, with no reference to the Numba runtime.

Numba types and lowers the kernel's Python function; its own optimisation and code generation are bypassed. The module
is then optimised once, for the target, by a pass pipeline and TargetMachine made here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.core.codegen import AOTCodeLibrary, AOTCPUCodegen
from numba.core.compiler import Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from cnnc.errors import InternalError
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.jit.link import ENTRY_SYMBOL, undefined_symbols
from cnnc.runtime.kernel import Target, Variant


class _UnoptimisedLibrary(AOTCodeLibrary):  # type: ignore[misc]
    """Collects IR as Numba lowers it; the passes run later, for the target."""

    def _optimize_functions(self, ll_module: Any) -> None:
        pass

    def _optimize_final_module(self) -> None:
        pass


class _UnoptimisedCodegen(AOTCPUCodegen):  # type: ignore[misc]
    _library_class = _UnoptimisedLibrary


def llvm_ir(variant: Variant, target: Target, optimised: bool = True) -> str:
    """LLVM IR of a variant."""
    module = _lower(variant, target)
    if optimised:
        _optimise(module, _target_machine(target))
    return str(module)


def assembly(variant: Variant, target: Target) -> str:
    """Assembly text of a variant, as it will run."""
    module = _lower(variant, target)
    machine = _target_machine(target)
    _optimise(module, machine)
    return str(machine.emit_assembly(module))


def compile_object(variant: Variant, target: Target) -> bytes:
    """Relocatable object of a variant; its global symbol is ``kernel``.

    Raises:
        InternalError: the code calls a function that the object does not hold.
    """
    return compile_function(kernel_def(variant.kernel).build(target, variant.options), target, str(variant))


def compile_function(function: Callable[..., Any], target: Target, name: str = "") -> bytes:
    """Relocatable object of a Python function with the signature of a kernel."""
    module = _lower_function(function, target)
    machine = _target_machine(target)
    _optimise(module, machine)
    data = bytes(machine.emit_object(module))
    missing = undefined_symbols(data) if data[:4] == b"\x7fELF" else ()
    if missing:
        raise InternalError(f"kernel {name} calls {', '.join(missing)}, which a freestanding kernel cannot")
    return data


def _lower(variant: Variant, target: Target) -> Any:
    return _lower_function(kernel_def(variant.kernel).build(target, variant.options), target)


def _lower_function(function: Callable[..., Any], target: Target) -> Any:
    """Unoptimised module whose only external function is the C entry."""
    with global_compiler_lock:
        return _lower_locked(function, target)


def _lower_locked(function: Callable[..., Any], target: Target) -> Any:
    _initialise()
    i64 = types.int64
    flags = Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.nrt = False
    context = _aot_context()
    compiled = compile_extra(
        cpu_target.typing_context, context, function, (types.CPointer(i64), i64, i64, i64), types.void, flags, {}
    )
    compiled.library.finalize()
    machine = _target_machine(target)
    text = _freestanding(str(compiled.library._final_module), compiled.fndesc.llvm_func_name, target, machine)
    module = llvm.parse_assembly(text)
    module.verify()
    for defined in module.functions:
        if not defined.is_declaration and defined.name != ENTRY_SYMBOL:
            defined.linkage = "internal"
    for variable in module.global_variables:
        variable.linkage = "internal"
    return module


def _freestanding(text: str, body: str, target: Target, machine: Any) -> str:
    """``text`` for ``target``, with a C entry around the Numba function ``body``.

    Numba's functions return a status and write results through pointers; a kernel returns nothing and raises nothing.
    ``no-builtins`` keeps LLVM from turning loops into calls of memcpy and memset.
    """
    text = re.sub(r"^target triple = .*$", f'target triple = "{target.triple}"', text, flags=re.M)
    text = re.sub(r"^target datalayout = .*$", f'target datalayout = "{machine.target_data}"', text, flags=re.M)
    entry = f"""
define void @{ENTRY_SYMBOL}(ptr %args, i64 %begin, i64 %end, i64 %scratch) {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @"{body}"(ptr %result, ptr %error, ptr %args, i64 %begin, i64 %end, i64 %scratch)
  ret void
}}
"""
    return re.sub(r"^(define .*) \{$", r'\1 nounwind "no-builtins" {', text + entry, flags=re.M)


def _optimise(module: Any, machine: Any) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def _target_machine(target: Target) -> Any:
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )


@functools.cache
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def _aot_context() -> Any:
    cpu_target.target_context.refresh()
    return cpu_target.target_context.subtarget(_internal_codegen=_UnoptimisedCodegen("cnnc"), aot_mode=True)
