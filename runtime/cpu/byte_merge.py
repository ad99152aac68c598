"""Lanes of several blocks of bytes merged into one, a register at a time: the code of ``layout.byte_lanes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.byte_lookup import row_lookup
from cnnc.runtime.cpu.vector import I8, I32, I64, VectorBuilder

_ROW = 16
_FEW = (1, 2)
"""Numbers of terms that have code of their own, with the indices in registers."""


def merge_lanes(
    b: VectorBuilder, y: Any, x: Any, plane: Any, size: Any, sources: Any, indices: Any, terms: Any
) -> None:
    """``size`` bytes of y, whole pixels: the sum of ``terms`` terms over planes of x that lie ``plane`` bytes apart."""
    full = b.target.vector_bytes
    kind, row_kind = ir.VectorType(I8, full), ir.VectorType(I8, _ROW)
    spread = ir.Constant(ir.VectorType(I32, full), [place % _ROW for place in range(full)])

    def source(term: Any) -> Any:
        number = b.ir.load(b.pointer(sources, I32, b.ir.mul(term, b.index(4))), align=4)
        return b.ir.add(x, b.ir.mul(b.ir.sext(number, I64), plane))

    def picks(term: Any) -> Any:
        row = b.ir.load(b.pointer(indices, row_kind, b.ir.mul(term, b.index(_ROW))), align=1)
        return b.ir.shuffle_vector(row, row, spread)

    def picked(base: Any, index: Any, offset: Any) -> Any:
        return row_lookup(b, b.ir.load(b.pointer(base, kind, offset), align=1), index)

    def store(value: Any, offset: Any) -> None:
        b.ir.store(value, b.pointer(y, kind, offset), align=1)

    def few(count: int) -> None:
        numbers = [b.index(term) for term in range(count)]
        operands = [(source(term), picks(term)) for term in numbers]

        def step(offset: Any) -> None:
            value = ir.Constant(kind, None)
            for base, index in operands:
                value = b.ir.or_(value, picked(base, index, offset))
            store(value, offset)

        _registers(b, size, full, step)

    def many() -> None:
        def step(offset: Any) -> None:
            total = b.variable(ir.Constant(kind, None))
            with b.loop(terms) as term:
                b.set(total, b.ir.or_(b.get(total), picked(source(term), picks(term), offset)))
            store(b.get(total), offset)

        _registers(b, size, full, step)

    def byte(offset: Any) -> None:
        place = b.ir.and_(offset, b.index(_ROW - 1))
        total = b.variable(I8(0))
        with b.loop(terms) as term:
            index = b.ir.load(b.pointer(indices, I8, b.ir.add(b.ir.mul(term, b.index(_ROW)), place)), align=1)
            with b.when(b.ir.icmp_signed(">=", index, I8(0))):
                at = b.ir.add(b.ir.sub(offset, place), b.ir.zext(index, I64))
                b.set(total, b.ir.load(b.pointer(source(term), I8, at), align=1))
        b.ir.store(b.get(total), b.pointer(y, I8, offset), align=1)

    def by_terms(counts: tuple[int, ...]) -> None:
        if not counts:
            many()
            return
        with b.choose(b.ir.icmp_signed("==", terms, b.index(counts[0]))) as (equal, other):
            with equal:
                few(counts[0])
            with other:
                by_terms(counts[1:])

    with b.choose(b.ir.icmp_signed("<", size, b.index(full))) as (short, long):
        with short, b.loop(size) as offset:
            byte(offset)
        with long:
            by_terms(_FEW)


def _registers(b: VectorBuilder, size: Any, full: int, step: Callable[[Any], None]) -> None:
    """``step(offset)`` for registers that cover ``size`` bytes, at least one; the last one is shifted to the end."""
    with b.loop(b.ir.udiv(size, b.index(full))) as number:
        step(b.ir.mul(number, b.index(full)))
    with b.when(b.ir.icmp_signed("!=", b.ir.urem(size, b.index(full)), b.index(0))):
        step(b.ir.sub(size, b.index(full)))
