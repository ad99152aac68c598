"""Raw memory for Numba code: loads and stores at addresses, and calls of functions there."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def _load(bits: int) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def load(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = builder.inttoptr(values[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=1)
            return value if bits == 64 else builder.zext(value, _I64)

        return types.int64(types.int64), generate

    return load


def _store(bits: int) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def store(typing: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = builder.inttoptr(values[0], ir.IntType(bits).as_pointer())
            kept = values[1] if bits == 64 else builder.trunc(values[1], ir.IntType(bits))
            builder.store(kept, pointer, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return store


load8, load16, load32, load64 = (_load(bits) for bits in (8, 16, 32, 64))
"""load(address): an unsigned integer, as int64."""
store8, store16, store32, store64 = (_store(bits) for bits in (8, 16, 32, 64))
"""store(address, value): the low bits of an int64."""


@intrinsic  # type: ignore[untyped-decorator]
def call(typing: Any, function: Any, row: Any, operands: Any, mask: Any) -> Any:
    """Call a function of ``library``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I64.as_pointer(), _I32])
        pointer = builder.inttoptr(values[0], kind.as_pointer())
        arguments = [
            builder.inttoptr(values[1], _I8.as_pointer()),
            builder.inttoptr(values[2], _I64.as_pointer()),
            builder.trunc(values[3], _I32),
        ]
        builder.call(pointer, arguments)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(typing: Any, value: Any) -> Any:
    """How many bits of an int64 are set."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.int64), generate
