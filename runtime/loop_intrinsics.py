"""LLVM operations that the worker loop needs and Numba lacks: atomics, indirect calls, the floating point control word.

Imported only while the worker loop is compiled. All values are int64; addresses too.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

I32, I64 = ir.IntType(32), ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()


def _pointer(builder: Any, address: Any, pointee: Any = I64) -> Any:
    return builder.inttoptr(address, pointee.as_pointer())


def _operation(emit: Any, arity: int) -> Any:
    """A Numba intrinsic of ``arity`` int64 arguments with an int64 result; ``emit`` may return None for 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        result = emit(builder, *args)
        return ir.Constant(I64, 0) if result is None else result

    signature = types.int64(*[types.int64] * arity)

    # Numba looks at the parameters of the typing function, so there is one per arity in use.
    def typing0(typingctx: Any) -> Any:
        return signature, generate

    def typing1(typingctx: Any, a: Any) -> Any:
        return signature, generate

    def typing2(typingctx: Any, a: Any, b: Any) -> Any:
        return signature, generate

    def typing3(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
        return signature, generate

    def typing5(typingctx: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return signature, generate

    def typing8(typingctx: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
        return signature, generate

    typings = {0: typing0, 1: typing1, 2: typing2, 3: typing3, 5: typing5, 8: typing8}
    return intrinsic(typings[arity])


def _address_of() -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], I64)

    def typing(typingctx: Any, pointer: Any) -> Any:
        return types.int64(pointer), generate

    return intrinsic(typing)


def _store(builder: Any, address: Any, value: Any) -> None:
    builder.store(value, _pointer(builder, address))


def _load_acquire32(builder: Any, address: Any) -> Any:
    return builder.zext(builder.load_atomic(_pointer(builder, address, I32), "acquire", 4), I64)


def _compare_exchange(builder: Any, address: Any, expected: Any, value: Any) -> Any:
    pair = builder.cmpxchg(_pointer(builder, address), expected, value, "acq_rel", "acquire")
    return builder.zext(builder.extract_value(pair, 1), I64)


def _fetch_add32(builder: Any, address: Any, value: Any) -> Any:
    pointer = _pointer(builder, address, I32)
    return builder.zext(builder.atomic_rmw("add", pointer, builder.trunc(value, I32), "seq_cst"), I64)


def _call_kernel(builder: Any, function: Any, *args: Any) -> None:
    pointer = builder.inttoptr(function, ir.FunctionType(ir.VoidType(), [I64] * 4).as_pointer())
    builder.call(pointer, args)


def _call_c(builder: Any, function: Any, *args: Any) -> Any:
    """Seven integer arguments fit ``syscall(number, ...)``; a C function of fewer ignores the rest."""
    pointer = builder.inttoptr(function, ir.FunctionType(I64, [I64] * 7).as_pointer())
    return builder.call(pointer, args)


def _call_llvm(builder: Any, name: str, result: Any, *operands: Any) -> Any:
    """Call an LLVM intrinsic. Inline assembly would need LLVM's assembly parser wherever the loop is compiled."""
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)


def _pause_x86(builder: Any) -> None:
    _call_llvm(builder, "llvm.x86.sse2.pause", ir.VoidType())


def _pause_arm(builder: Any) -> None:
    _call_llvm(builder, "llvm.aarch64.hint", ir.VoidType(), ir.Constant(I32, 1))


def _get_mxcsr(builder: Any) -> Any:
    slot = _entry_slot(builder)
    _call_llvm(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), builder.bitcast(slot, _BYTES))
    return builder.zext(builder.load(slot), I64)


def _set_mxcsr(builder: Any, value: Any) -> None:
    slot = _entry_slot(builder)
    builder.store(builder.trunc(value, I32), slot)
    _call_llvm(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), builder.bitcast(slot, _BYTES))


def _entry_slot(builder: Any) -> Any:
    """Stack storage made in the entry block: an alloca inside a loop would grow the stack."""
    with builder.goto_entry_block():
        return builder.alloca(I32)


def _get_fpcr(builder: Any) -> Any:
    return _call_llvm(builder, "llvm.aarch64.get.fpcr", I64)


def _set_fpcr(builder: Any, value: Any) -> None:
    _call_llvm(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), value)


def _nothing(builder: Any, *args: Any) -> None:
    """Other CPUs: no pause hint, and the control word stays as it is."""


def intrinsics_for(triple: str) -> SimpleNamespace:
    """The operations for the CPU family of an LLVM triple."""
    family = triple.split("-", maxsplit=1)[0]
    pause, get_mode, set_mode = {
        "x86_64": (_pause_x86, _get_mxcsr, _set_mxcsr),
        "aarch64": (_pause_arm, _get_fpcr, _set_fpcr),
        "arm64": (_pause_arm, _get_fpcr, _set_fpcr),
    }.get(family, (_nothing, _nothing, _nothing))
    return SimpleNamespace(
        address_of=_address_of(),
        load=_operation(lambda builder, address: builder.load(_pointer(builder, address)), 1),
        store=_operation(_store, 2),
        load_acquire=_operation(
            lambda builder, address: builder.load_atomic(_pointer(builder, address), "acquire", 8), 1
        ),
        store_release=_operation(
            lambda builder, address, value: builder.store_atomic(value, _pointer(builder, address), "release", 8), 2
        ),
        load_acquire32=_operation(_load_acquire32, 1),
        compare_exchange=_operation(_compare_exchange, 3),
        fetch_add=_operation(
            lambda builder, address, value: builder.atomic_rmw("add", _pointer(builder, address), value, "seq_cst"), 2
        ),
        fetch_add32=_operation(_fetch_add32, 2),
        pause=_operation(pause, 0),
        call_kernel=_operation(_call_kernel, 5),
        call_c=_operation(_call_c, 8),
        get_fp_mode=_operation(get_mode, 0),
        set_fp_mode=_operation(set_mode, 1),
    )
