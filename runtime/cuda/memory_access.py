"""Loads and stores of global and shared memory for Numba CUDA code. All addresses are int64.

Loads of global memory take the read-only path (``ld.global.nc``), but for those called ``mutable``: no kernel reads
through it what it writes. All that are not predicated keep their place: LLVM may move assembly without effects before
the branch that guards it. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.intrinsics import (
    BOOL,
    F32,
    FLOAT,
    I32,
    I64,
    INT,
    QUAD,
    assembly,
    device_function,
)

_PAIR, _QUAD = ir.LiteralStructType([F32] * 2), ir.LiteralStructType([F32] * 4)
_OUT = "=f,=f,=f,=f"
# Written before the predicate is read for the last time.
_EARLY = "=&f,=&f,=&f,=&f"


def _packed(builder: Any, found: Any) -> Any:
    return cgutils.pack_array(builder, [builder.extract_value(found, index) for index in range(4)])


def emit_load_quad(builder: Any, address: Any, *, is_mutable: bool = False) -> Any:
    text = f"ld.global{'' if is_mutable else '.nc'}.v4.f32 {{$0,$1,$2,$3}}, [$4];"
    return _packed(builder, assembly(builder, _QUAD, text, f"{_OUT},l", [address], has_effect=True))


def emit_load_quad_if(builder: Any, address: Any, condition: Any) -> Any:
    zeros = " ".join(f"mov.f32 ${index}, 0f00000000;" for index in range(4))
    text = f"{{ .reg .pred p; setp.ne.s32 p, $5, 0; {zeros} @p ld.global.nc.v4.f32 {{$0,$1,$2,$3}}, [$4]; }}"
    wanted = builder.zext(condition, I32)
    return _packed(builder, assembly(builder, _QUAD, text, f"{_EARLY},l,r", [address, wanted]))


def emit_load_pair_if(builder: Any, address: Any, condition: Any) -> Any:
    """Two float32 from a multiple of 8 bytes, or zeros without touching memory."""
    text = "{ .reg .pred p; setp.ne.s32 p, $3, 0; mov.f32 $0, 0f00000000; mov.f32 $1, 0f00000000; "
    text += "@p ld.global.nc.v2.f32 {$0,$1}, [$2]; }"
    found = assembly(builder, _PAIR, text, "=&f,=&f,l,r", [address, builder.zext(condition, I32)])
    return cgutils.pack_array(builder, [builder.extract_value(found, index) for index in range(2)])


def emit_store_if(builder: Any, address: Any, value: Any, condition: Any) -> None:
    """One float32, or nothing."""
    text = "{ .reg .pred p; setp.ne.s32 p, $2, 0; @p st.global.f32 [$0], $1; }"
    values = [address, value, builder.zext(condition, I32)]
    assembly(builder, ir.VoidType(), text, "l,f,r", values, has_effect=True)


def _store_quad(space: str) -> Any:
    def emit(builder: Any, address: Any, quad: Any) -> None:
        values = [address, *(builder.extract_value(quad, index) for index in range(4))]
        text = f"st.{space}.v4.f32 [$0], {{$1,$2,$3,$4}};"
        assembly(builder, ir.VoidType(), text, "l,f,f,f,f", values, has_effect=True)

    return emit


def emit_load_if(builder: Any, address: Any, condition: Any) -> Any:
    text = "{ .reg .pred p; setp.ne.s32 p, $2, 0; mov.f32 $0, 0f00000000; @p ld.global.nc.f32 $0, [$1]; }"
    return assembly(builder, F32, text, "=&f,l,r", [address, builder.zext(condition, I32)])


def _store(space: str) -> Any:
    def emit(builder: Any, address: Any, value: Any) -> None:
        text = f"st.{space}.f32 [$0], $1;"
        assembly(builder, ir.VoidType(), text, "l,f", [address, value], has_effect=True)

    return emit


def _first_lanes(builder: Any, quad: Any, count: Any) -> Any:
    values = cgutils.unpack_tuple(builder, quad)
    kept = [builder.icmp_signed(">", count, ir.Constant(I64, lane)) for lane in range(4)]
    zero = ir.Constant(F32, 0.0)
    return cgutils.pack_array(builder, [builder.select(keep, value, zero) for keep, value in zip(kept, values)])


def _load(builder: Any, address: Any) -> Any:
    return assembly(builder, F32, "ld.global.nc.f32 $0, [$1];", "=f,l", [address], has_effect=True)


def _load_mutable(builder: Any, address: Any) -> Any:
    return assembly(builder, F32, "ld.global.f32 $0, [$1];", "=f,l", [address], has_effect=True)


def _load_mutable_quad(builder: Any, address: Any) -> Any:
    return emit_load_quad(builder, address, is_mutable=True)


def _store_i64(builder: Any, address: Any, value: Any) -> None:
    assembly(builder, ir.VoidType(), "st.global.s64 [$0], $1;", "l,l", [address, value], has_effect=True)


def _load_shared(builder: Any, address: Any) -> Any:
    return assembly(builder, F32, "ld.shared.f32 $0, [$1];", "=f,l", [address], has_effect=True)


def _load_i32(builder: Any, address: Any) -> Any:
    found = assembly(builder, I32, "ld.global.nc.s32 $0, [$1];", "=r,l", [address], has_effect=True)
    return builder.sext(found, I64)


load = device_function(FLOAT, [INT], _load)
"""load(address): one float32 of global memory."""
load_mutable = device_function(FLOAT, [INT], _load_mutable)
"""load_mutable(address): it, where the kernel may write too."""
load_if = device_function(FLOAT, [INT, BOOL], emit_load_if)
"""load_if(address, condition): it, or 0 without touching memory."""
load_i32 = device_function(INT, [INT], _load_i32)
store = device_function(types.void, [INT, FLOAT], _store("global"))
store_if = device_function(types.void, [INT, FLOAT, BOOL], emit_store_if)
"""store_if(address, value, condition): nothing is written where it is false."""
store_i64 = device_function(types.void, [INT, INT], _store_i64)
load_quad = device_function(QUAD, [INT], emit_load_quad)
"""load_quad(address): four float32 from a multiple of 16 bytes."""
load_mutable_quad = device_function(QUAD, [INT], _load_mutable_quad)
"""load_mutable_quad(address): them, where the kernel may write too."""
load_quad_if = device_function(QUAD, [INT, BOOL], emit_load_quad_if)
store_quad = device_function(types.void, [INT, QUAD], _store_quad("global"))
first_lanes = device_function(QUAD, [QUAD, INT], _first_lanes)
"""first_lanes(quad, count): zeros for the elements from ``count`` on."""

load_shared = device_function(FLOAT, [INT], _load_shared)
store_shared = device_function(types.void, [INT, FLOAT], _store("shared"))
store_shared_quad = device_function(types.void, [INT, QUAD], _store_quad("shared"))


def rows_store(pitch: int) -> Any:
    """store(address, quad): the elements of a quad to four rows of shared memory, ``pitch`` bytes apart."""

    def emit(builder: Any, address: Any, quad: Any) -> None:
        for row in range(4):
            text = f"st.shared.f32 [$0+{row * pitch}], $1;"
            value = builder.extract_value(quad, row)
            assembly(builder, ir.VoidType(), text, "l,f", [address, value], has_effect=True)

    return device_function(types.void, [INT, QUAD], emit)


def shared_memory(size: int) -> Any:
    """A function that gives the address of ``size`` bytes of shared memory, 16-byte aligned; once in a kernel."""
    kind = ir.ArrayType(ir.IntType(8), size)

    def emit(builder: Any) -> Any:
        variable = cgutils.add_global_variable(builder.module, kind, "shared_memory", 3)
        variable.linkage, variable.align = "internal", 16
        variable.initializer = ir.Constant(kind, ir.Undefined)
        return builder.ptrtoint(variable, I64)

    return device_function(INT, [], emit)
