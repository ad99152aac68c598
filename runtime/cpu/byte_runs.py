"""The larger of bytes, run by run: what a max pool of bytes does. Imports llvmlite."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.vector import I8, VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target

_UNROLLED = (3, 2)
"""Numbers of taps that have code of their own."""


def by_taps(b: VectorBuilder, taps: ir.Value, body: Callable[[int | None], None]) -> None:
    """``body(taps)`` for each number that has code of its own, else ``body(None)``."""

    def branch(numbers: tuple[int, ...]) -> None:
        if not numbers:
            body(None)
            return
        with b.choose(b.ir.icmp_signed("==", taps, b.index(numbers[0]))) as (equal, other):
            with equal:
                body(numbers[0])
            with other:
                branch(numbers[1:])

    branch(_UNROLLED)


@dataclass(frozen=True, slots=True)
class ByteRuns:
    """Functions for kernels; addresses, steps and sizes in bytes, sizes of whole pixels. Runs do not overlap.

    ``fill_least(y, size)`` writes the least value. ``larger(y, x, size)``: y becomes the larger of y and x.
    ``largest_of_rows(y, x, step, rows, size)``: y becomes the largest of ``rows`` runs, at least one, ``step`` apart.
    ``largest_of_pixels(y, x, stride, step, taps, count)``: pixel n of y becomes the largest of ``taps`` pixels ``step``
    apart, at least one, from ``x + n * stride`` on.
    """

    fill_least: Any
    larger: Any
    largest_of_rows: Any
    largest_of_pixels: Any


@functools.cache
def byte_runs(target: Target, pixel: int, signed: bool) -> ByteRuns:
    """The functions for pixels of so many bytes, of int8 or uint8."""
    unit = ir.VectorType(I8, pixel)
    whole = ir.VectorType(I8, max(target.vector_bytes, pixel))

    def load(b: VectorBuilder, address: Any, kind: Any, offset: Any) -> Any:
        return b.ir.load(b.pointer(address, kind, offset), align=1)

    def store(b: VectorBuilder, value: Any, address: Any, offset: Any) -> None:
        b.ir.store(value, b.pointer(address, value.type, offset), align=1)

    def larger_of(b: VectorBuilder, x: Any, y: Any) -> Any:
        compare = b.ir.icmp_signed if signed else b.ir.icmp_unsigned
        return b.ir.select(compare(">", x, y), x, y)

    def run(b: VectorBuilder, size: Any, step: Callable[[Any, Any], None]) -> None:
        """``step(offset, type)`` over ``size`` bytes: registers, the last one shifted to the end, or else by pixels."""
        full = b.index(whole.count)
        count = b.ir.udiv(size, full)
        with b.loop(count) as number:
            step(b.ir.mul(number, full), whole)
        done = b.ir.mul(count, full)
        rest = b.ir.sub(size, done)
        shifted = b.ir.icmp_unsigned(">", count, b.index(0))
        with b.when(b.ir.icmp_unsigned(">", rest, b.index(0))), b.choose(shifted) as (long, short):
            with long:
                step(b.ir.sub(size, full), whole)
            with short, b.loop(b.ir.udiv(rest, b.index(pixel))) as number:
                step(b.ir.add(done, b.ir.mul(number, b.index(pixel))), unit)

    def largest(b: VectorBuilder, x: Any, step: Any, taps: Any, fixed: int | None, kind: Any, offset: Any) -> Any:
        if fixed is not None:
            values = [load(b, x, kind, b.ir.add(offset, b.ir.mul(step, b.index(tap)))) for tap in range(fixed)]
            return functools.reduce(lambda best, value: larger_of(b, best, value), values)
        best = b.variable(load(b, x, kind, offset))
        with b.loop(b.ir.sub(taps, b.index(1))) as tap:
            place = b.ir.add(offset, b.ir.mul(step, b.ir.add(tap, b.index(1))))
            b.set(best, larger_of(b, b.get(best), load(b, x, kind, place)))
        return b.get(best)

    def fill_least(b: VectorBuilder, y: Any, size: Any) -> None:
        least = -128 if signed else 0
        run(b, size, lambda offset, kind: store(b, ir.Constant(kind, [least] * kind.count), y, offset))

    def larger(b: VectorBuilder, y: Any, x: Any, size: Any) -> None:
        def step(offset: Any, kind: Any) -> None:
            store(b, larger_of(b, load(b, y, kind, offset), load(b, x, kind, offset)), y, offset)

        run(b, size, step)

    def largest_of_rows(b: VectorBuilder, y: Any, x: Any, step: Any, rows: Any, size: Any) -> None:
        def body(fixed: int | None) -> None:
            run(b, size, lambda offset, kind: store(b, largest(b, x, step, rows, fixed, kind, offset), y, offset))

        by_taps(b, rows, body)

    def largest_of_pixels(b: VectorBuilder, y: Any, x: Any, stride: Any, step: Any, taps: Any, count: Any) -> None:
        def body(fixed: int | None) -> None:
            with b.loop(count) as number:
                best = largest(b, x, step, taps, fixed, unit, b.ir.mul(number, stride))
                store(b, best, y, b.ir.mul(number, b.index(pixel)))

        by_taps(b, taps, body)

    return ByteRuns(
        fill_least=intrinsic(target, fill_least, 2),
        larger=intrinsic(target, larger, 3),
        largest_of_rows=intrinsic(target, largest_of_rows, 5),
        largest_of_pixels=intrinsic(target, largest_of_pixels, 6),
    )
