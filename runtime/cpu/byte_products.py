"""Sums of products of four unsigned with four signed bytes in each 32-bit lane, exact modulo 2^32 on every CPU.

CPUs with VNNI have an instruction for it (``vpdpbusd``). Without it bytes are widened to 16 bits, the even ones and the
odd ones of a lane apart, and ``pmaddwd`` adds two products of either at a time. ``pmaddubsw`` would do with half as
many instructions, but saturates: 255 * 127 * 2 is beyond int16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from cnnc.runtime.cpu.vector import VectorBuilder
from cnnc.runtime.jit.target import has_byte_products, is_x86

_HALF = ir.IntType(16)
_PAIR_PRODUCTS = {16: "llvm.x86.sse2.pmadd.wd", 32: "llvm.x86.avx2.pmadd.wd", 64: "llvm.x86.avx512.pmaddw.d.512"}


@dataclass(frozen=True, slots=True)
class Quads:
    """Four bytes a lane: packed as they are, or widened to int16, bytes 0 and 2 apart from bytes 1 and 3."""

    packed: ir.Value
    even: ir.Value | None = None
    odd: ir.Value | None = None


def input_quads(b: VectorBuilder, lanes: ir.Value) -> Quads:
    """Unsigned bytes, from 32-bit lanes."""
    if has_byte_products(b.target):
        return Quads(lanes)
    return Quads(lanes, b.int_and(lanes, b.int_const(0x00FF00FF)), _halves(b, lanes, lambda x, n: b.ir.lshr(x, n)))


def weight_quads(b: VectorBuilder, lanes: ir.Value) -> Quads:
    """Signed bytes, from 32-bit lanes."""
    if has_byte_products(b.target):
        return Quads(lanes)
    even = _halves(b, lanes, lambda x, n: b.ir.ashr(b.ir.shl(x, n), n))
    return Quads(lanes, even, _halves(b, lanes, lambda x, n: b.ir.ashr(x, n)))


def add_quad_products(b: VectorBuilder, weights: Quads, inputs: Quads, total: ir.Value) -> ir.Value:
    """``total`` and the four products of each lane."""
    if weights.even is None or weights.odd is None:
        return _dot_product(b, "vpdpbusd", weights.packed, inputs.packed, total)
    total = b.int_add(total, _pair_products(b, inputs.even, weights.even))
    return b.int_add(total, _pair_products(b, inputs.odd, weights.odd))


def add_int16_products(b: VectorBuilder, weights: ir.Value, inputs: ir.Value, total: ir.Value) -> ir.Value:
    """``total`` and the two products of the signed 16-bit halves of each lane, modulo 2^32."""
    if has_byte_products(b.target):
        return _dot_product(b, "vpdpwssd", weights, inputs, total)
    return b.int_add(total, _pair_products(b, inputs, weights))


def _dot_product(b: VectorBuilder, name: str, weights: ir.Value, inputs: ir.Value, total: ir.Value) -> ir.Value:
    function = b.declare(
        f"llvm.x86.avx512.{name}.{8 * b.target.vector_bytes}", ir.FunctionType(b.integers, [b.integers] * 3)
    )
    return b.ir.call(function, [total, inputs, weights])


def _halves(b: VectorBuilder, lanes: ir.Value, shift: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """``shift(x, 8)`` of the 16-bit halves of the lanes."""
    kind = ir.VectorType(_HALF, 2 * b.lanes)
    eight = ir.Constant(kind, [8] * (2 * b.lanes))
    return b.ir.bitcast(shift(b.ir.bitcast(lanes, kind), eight), b.integers)


def _pair_products(b: VectorBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """The sum of the products of both 16-bit halves of each lane."""
    if is_x86(b.target):
        kind = ir.VectorType(_HALF, 2 * b.lanes)
        function = b.declare(_PAIR_PRODUCTS[b.target.vector_bytes], ir.FunctionType(b.integers, [kind, kind]))
        return b.ir.call(function, [b.ir.bitcast(x, kind), b.ir.bitcast(y, kind)])
    high = b.ir.mul(b.shift_right(x, 16), b.shift_right(y, 16))
    low = b.ir.mul(b.shift_right(b.shift_left(x, 16), 16), b.shift_right(b.shift_left(y, 16), 16))
    return b.int_add(high, low)
