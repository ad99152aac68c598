"""Kernel variant -> LLVM IR -> object code for a given target.

The IR of the loops (``numba_ir``) is joined with the code that the kernel's intrinsics emit, and the whole is optimised
once, for the target, by a pass pipeline and TargetMachine made here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core.compiler_lock import global_compiler_lock

from cnnc.errors import InternalError
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.jit.link import ENTRY_SYMBOL, undefined_symbols
from cnnc.runtime.jit.numba_ir import numba_ir
from cnnc.runtime.kernel import Target, Variant


def llvm_ir(variant: Variant, target: Target, optimised: bool = True) -> str:
    """LLVM IR of a variant."""
    module = _lower(variant, target)
    if optimised:
        _optimise(module, _target_machine(target))
    return str(module)


def assembly(variant: Variant, target: Target) -> str:
    """Assembly text of a variant, as it will run."""
    return function_assembly(kernel_def(variant.kernel).build(target, variant.options), target)


def function_assembly(function: Callable[..., Any], target: Target) -> str:
    """Assembly text of a Python function with the signature of a kernel, for any x86-64 target."""
    module = _lower_function(function, target)
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
        _initialise()
        text, emitted = numba_ir(function)
        # Still locked: intrinsics that several kernels share are named by the one that is being compiled.
        definitions = ir.Module("emitted")
        for code in emitted:
            code.define(definitions)
    machine = _target_machine(target)
    module = llvm.parse_assembly(_for_target(text, target, machine))
    module.link_in(llvm.parse_assembly(_for_target(str(definitions), target, machine)))
    module.verify()
    for defined in module.functions:
        if not defined.is_declaration and defined.name != ENTRY_SYMBOL:
            defined.linkage = "internal"
    for variable in module.global_variables:
        variable.linkage = "internal"
    return module


def _for_target(text: str, target: Target, machine: Any) -> str:
    """``text`` with triple and data layout of ``target``.

    ``no-builtins`` keeps LLVM from turning loops into calls of memcpy and memset.
    """
    text = re.sub(r"^target triple = .*$", f'target triple = "{target.triple}"', text, flags=re.M)
    text = re.sub(r"^target datalayout = .*$", f'target datalayout = "{machine.target_data}"', text, flags=re.M)
    text = re.sub(r"^(define .*) \{$", r'\1 nounwind "no-builtins" {', text, flags=re.M)
    return re.sub(r"^(define [^{]*\))( alwaysinline)?\n\{$", r'\1\2 nounwind "no-builtins"\n{', text, flags=re.M)


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
