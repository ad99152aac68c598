"""LLVM vector code from Python: a builder for values of one register width, and intrinsics that Numba functions call.

A kernel's loops are Numba Python over integers; what happens in registers is *emitted* by functions that take a
``VectorBuilder``. ``intrinsic`` turns such a function into something a Numba function can call:

    scale = intrinsic(target, lambda b, dst, src: b.store(b.mul(b.load(src), b.const(2.0)), dst), 2)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.extending import intrinsic as numba_intrinsic

from cnnc.runtime.cpu.vector_arithmetic import VectorArithmetic
from cnnc.runtime.cpu.vector_control import VectorControl
from cnnc.runtime.cpu.vector_integers import VectorIntegers
from cnnc.runtime.cpu.vector_memory import VectorMemory
from cnnc.runtime.cpu.vector_values import F32, F64, I1, I8, I32, I64
from cnnc.runtime.kernel import Target

__all__ = ["F32", "F64", "I1", "I8", "I32", "I64", "Emitted", "VectorBuilder", "constant", "intrinsic"]


class VectorBuilder(VectorMemory, VectorArithmetic, VectorIntegers, VectorControl):
    """Emits operations on float32 vectors of ``lanes`` lanes, and on 64-bit addresses and counts.

    Addresses are integers; offsets are in bytes. Vectors are ``ir.Value`` of type ``vector``, comparisons
    give ``mask``.
    """

    def halved(self) -> VectorBuilder:
        """A builder of vectors of half as many lanes, at the same place."""
        return VectorBuilder(self.ir, replace(self.target, vector_bytes=self.target.vector_bytes // 2))


@dataclass(slots=True)
class Emitted:
    """What an intrinsic emits. With a ``symbol`` its code is a function of that name, which the JIT adds to the module;
    otherwise it is written where the intrinsic is called."""

    target: Target
    emit: Callable[..., Any]
    arity: int
    returns: bool
    symbol: str = ""

    @property
    def kind(self) -> ir.FunctionType:
        return ir.FunctionType(I64 if self.returns else ir.VoidType(), [I64] * self.arity)

    def define(self, module: ir.Module) -> None:
        """Add the function to ``module``, to be inlined."""
        function = ir.Function(module, self.kind, self.symbol)
        function.attributes.add("alwaysinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        value = self.emit(VectorBuilder(builder, self.target), *function.args)
        if self.returns:
            builder.ret(value)
        else:
            builder.ret_void()


def intrinsic(target: Target, emit: Callable[..., Any], arity: int, returns: bool = False) -> Any:
    """A function of ``arity`` 64-bit integers that a Numba function may call; ``emit(b, *values)`` writes its code.

    With ``returns`` the value that ``emit`` gives, a 64-bit integer, is the result; otherwise there is none.
    """
    emitted = Emitted(target, emit, arity, returns)
    wanted = signature(types.int64 if returns else types.void, *[types.int64] * arity)

    def codegen(context: Any, builder: ir.IRBuilder, _: Any, operands: Any) -> Any:
        if emitted.symbol:
            function = cgutils.get_or_insert_function(builder.module, emitted.kind, emitted.symbol)
            value = builder.call(function, operands)
        else:
            value = emit(VectorBuilder(builder, target), *operands)
        return value if returns else context.get_dummy_value()

    def typing(context: Any, *arguments: Any) -> Any:
        return wanted, codegen

    # Numba counts an intrinsic's named parameters.
    names = ["context", *(f"argument{position}" for position in range(arity))]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    typing.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callee = numba_intrinsic(typing)
    callee.emitted = emitted
    return callee


def constant(target: Target, value: int) -> Any:
    """A function without arguments that a Numba function calls for ``value``.

    Unlike an integer in the closure it lets variants of a kernel share their Numba compilation; LLVM folds it the same.
    """
    return intrinsic(target, lambda b: b.index(value), 0, returns=True)
