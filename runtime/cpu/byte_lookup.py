"""Bytes looked up in a table of 256 bytes, a register of them at a time. Imports llvmlite.

CPUs have instructions that pick bytes by indices known at run time, but from less than 256 of them: from two registers
of 64 with AVX-512 VBMI, from 16 bytes with SSSE3, from 64 on 64-bit ARM. Every part of the table gives 0 for the
indices of other parts, or is chosen by the bits of the index that the instruction leaves out.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from cnnc.runtime.cpu.vector import I8, I32, VectorBuilder
from cnnc.runtime.jit.target import has_byte_permutes, is_arm64, is_x86

_ROW = 16
_SHUFFLES = {16: "llvm.x86.ssse3.pshuf.b.128", 32: "llvm.x86.avx2.pshuf.b", 64: "llvm.x86.avx512.pshuf.b.512"}


def byte_lookup(b: VectorBuilder, table: ir.Value) -> Callable[[ir.Value], ir.Value]:
    """A function of registers of unsigned bytes, for the table at address ``table``: each byte becomes its entry."""
    if has_byte_permutes(b.target):
        return _from_registers(b, table)
    if is_x86(b.target):
        return _from_rows(b, table)
    if is_arm64(b.target):
        return _from_quarters(b, table)
    return _one_by_one(b, table)


def row_lookup(b: VectorBuilder, rows: ir.Value, indices: ir.Value) -> ir.Value:
    """Every 16 bytes of a register picked from the same 16 bytes of ``rows``; 0 where the index is 128 or more.

    Other indices are below 16.
    """
    size = b.target.vector_bytes
    kind = ir.VectorType(I8, size)
    if is_x86(b.target):
        return b.ir.call(b.declare(_SHUFFLES[size], ir.FunctionType(kind, [kind, kind])), [rows, indices])
    if is_arm64(b.target):
        function = b.declare("llvm.aarch64.neon.tbl1.v16i8", ir.FunctionType(kind, [kind, kind]))
        return b.ir.call(function, [rows, indices])
    picked = _each(
        b, indices, lambda index: b.ir.extract_element(rows, b.ir.and_(b.ir.zext(index, I32), I32(_ROW - 1)))
    )
    return b.ir.select(b.ir.icmp_signed("<", indices, ir.Constant(kind, None)), ir.Constant(kind, None), picked)


def _from_registers(b: VectorBuilder, table: ir.Value) -> Callable[[ir.Value], ir.Value]:
    """Two registers give either half of the table by the low seven bits."""
    kind = ir.VectorType(I8, 64)
    parts = [b.ir.load(b.pointer(table, kind, 64 * part), align=1) for part in range(4)]
    function = b.declare("llvm.x86.avx512.vpermi2var.qi.512", ir.FunctionType(kind, [kind] * 3))

    def look_up(index: ir.Value) -> ir.Value:
        low, high = (b.ir.call(function, [parts[half], index, parts[half + 1]]) for half in (0, 2))
        return b.ir.select(b.ir.icmp_signed("<", index, ir.Constant(kind, None)), high, low)

    return look_up


def _from_rows(b: VectorBuilder, table: ir.Value) -> Callable[[ir.Value], ir.Value]:
    """Rows of 16 entries: an index of another row becomes 128 or more, for which the instruction gives 0."""
    size = b.target.vector_bytes
    kind, row_kind = ir.VectorType(I8, size), ir.VectorType(I8, _ROW)
    spread = ir.Constant(ir.VectorType(I32, size), [place % _ROW for place in range(size)])
    rows = []
    for row in range(_ROW):
        loaded = b.ir.load(b.pointer(table, row_kind, _ROW * row), align=1)
        rows.append(b.ir.shuffle_vector(loaded, loaded, spread))
    add = b.declare(f"llvm.uadd.sat.v{size}i8", ir.FunctionType(kind, [kind, kind]))

    def look_up(index: ir.Value) -> ir.Value:
        found = ir.Constant(kind, None)
        for row, entries in enumerate(rows):
            other = b.ir.xor(index, ir.Constant(kind, [_ROW * row] * size))
            place = b.ir.call(add, [other, ir.Constant(kind, [0x70] * size)])
            found = b.ir.or_(found, row_lookup(b, entries, place))
        return found

    return look_up


def _from_quarters(b: VectorBuilder, table: ir.Value) -> Callable[[ir.Value], ir.Value]:
    """Four registers are 64 entries; an index beyond gives 0."""
    kind = ir.VectorType(I8, 16)
    parts = [b.ir.load(b.pointer(table, kind, 16 * part), align=1) for part in range(16)]
    function = b.declare("llvm.aarch64.neon.tbl4.v16i8", ir.FunctionType(kind, [kind] * 5))

    def look_up(index: ir.Value) -> ir.Value:
        found = ir.Constant(kind, None)
        for quarter in range(4):
            place = b.ir.sub(index, ir.Constant(kind, [64 * quarter] * 16))
            found = b.ir.or_(found, b.ir.call(function, [*parts[4 * quarter : 4 * quarter + 4], place]))
        return found

    return look_up


def _one_by_one(b: VectorBuilder, table: ir.Value) -> Callable[[ir.Value], ir.Value]:
    return lambda index: _each(b, index, lambda place: table_entry(b, table, place))


def table_entry(b: VectorBuilder, table: ir.Value, index: ir.Value) -> ir.Value:
    """The entry of a single byte."""
    return b.ir.load(b.pointer(table, I8, b.ir.zext(index, ir.IntType(64))), align=1)


def _each(b: VectorBuilder, values: ir.Value, function: Callable[[ir.Value], ir.Value]) -> ir.Value:
    result = ir.Constant(values.type, None)
    for place in range(values.type.count):
        at = ir.Constant(I32, place)
        result = b.ir.insert_element(result, function(b.ir.extract_element(values, at)), at)
    return result
