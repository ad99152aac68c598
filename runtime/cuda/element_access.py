"""Loads and stores of elements of 1, 2, 4 or 8 bytes of any type, for kernels that only move them.

An element is an int64 that holds its bits. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.cuda import types

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.intrinsics import BOOL, I32, I64, INT, assembly, device_function


@dataclass(frozen=True)
class ElementAccess:
    """Functions for Numba CUDA code.

    Attributes:
        load: load(address).
        load_if: load_if(address, condition): it, or 0 without touching memory.
        store: store(address, element).
        store_if: store_if(address, element, condition): nothing is written where it is false.
        move: move(target, source).
    """

    load: Any
    load_if: Any
    store: Any
    store_if: Any
    move: Any


def element_access(size: int, space: str = "global") -> ElementAccess:
    """For elements of ``size`` bytes in ``global`` or ``shared`` memory.

    Loads of global memory take the read-only path: no kernel reads through them what it writes.
    """
    is_shared = space == "shared"
    path = "ld.shared" if is_shared else "ld.global.nc"
    kind = f"u{8 * size}"
    register, letter = (I64, "l") if size == 8 else (I32, "r")

    def load(builder: Any, address: Any) -> Any:
        found = assembly(builder, register, f"{path}.{kind} $0, [$1];", f"={letter},l", [address], has_effect=True)
        return found if size == 8 else builder.zext(found, I64)

    def load_if(builder: Any, address: Any, condition: Any) -> Any:
        zero = f"mov.u{register.width} $0, 0;"
        text = f"{{ .reg .pred p; setp.ne.s32 p, $2, 0; {zero} @p {path}.{kind} $0, [$1]; }}"
        found = assembly(
            builder, register, text, f"=&{letter},l,r", [address, builder.zext(condition, I32)], has_effect=is_shared
        )
        return found if size == 8 else builder.zext(found, I64)

    def store(builder: Any, address: Any, element: Any) -> None:
        value = element if size == 8 else builder.trunc(element, I32)
        text = f"st.{space}.{kind} [$0], $1;"
        assembly(builder, ir.VoidType(), text, f"l,{letter}", [address, value], has_effect=True)

    def store_if(builder: Any, address: Any, element: Any, condition: Any) -> None:
        value = element if size == 8 else builder.trunc(element, I32)
        text = f"{{ .reg .pred p; setp.ne.s32 p, $2, 0; @p st.{space}.{kind} [$0], $1; }}"
        wanted = builder.zext(condition, I32)
        assembly(builder, ir.VoidType(), text, f"l,{letter},r", [address, value, wanted], has_effect=True)

    def move(builder: Any, target: Any, source: Any) -> None:
        store(builder, target, load(builder, source))

    return ElementAccess(
        device_function(INT, [INT], load),
        device_function(INT, [INT, BOOL], load_if),
        device_function(types.void, [INT, INT], store),
        device_function(types.void, [INT, INT, BOOL], store_if),
        device_function(types.void, [INT, INT], move),
    )


def _move_sixteen(builder: Any, target: Any, source: Any) -> None:
    pair = ir.LiteralStructType([I64, I64])
    found = assembly(builder, pair, "ld.global.nc.v2.u64 {$0,$1}, [$2];", "=l,=l,l", [source], has_effect=True)
    values = [target, builder.extract_value(found, 0), builder.extract_value(found, 1)]
    assembly(builder, ir.VoidType(), "st.global.v2.u64 [$0], {$1,$2};", "l,l,l", values, has_effect=True)


def _store_twice(builder: Any, target: Any, element: Any) -> None:
    assembly(builder, ir.VoidType(), "st.global.v2.u64 [$0], {$1,$1};", "l,l", [target, element], has_effect=True)


move_sixteen = device_function(types.void, [INT, INT], _move_sixteen)
"""move_sixteen(target, source): 16 bytes; addresses are multiples of 16."""
store_twice = device_function(types.void, [INT, INT], _store_twice)
"""store_twice(target, element): 8 bytes, to 16; the address is a multiple of 16."""
