"""Rows of ``elementwise.tape`` between memory and tiles: gathers, scatters, bool conversion. Imports numba."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.vector import F32, I8, VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class RowFunctions:
    """Functions for kernels. ``kind`` is 0 for float32 and 1 for bool in memory; tiles hold float32.

    ``fill(tile, bits, count)``; ``gather(tile, memory, step_bytes, count, kind)``;
    ``scatter(memory, tile, step_bytes, count, kind)``; ``repeat(tile, memory, count)`` writes one register of floats
    ``count`` times.
    """

    fill: Any
    gather: Any
    scatter: Any
    repeat: Any


def row_functions(target: Target) -> RowFunctions:
    """The functions for the target's vectors."""
    return RowFunctions(
        fill=intrinsic(target, _fill, 3),
        gather=intrinsic(target, _gather, 5),
        scatter=intrinsic(target, _scatter, 5),
        repeat=intrinsic(target, _repeat, 3),
    )


def _repeat(b: VectorBuilder, tile: Any, memory: Any, count: Any) -> None:
    value = b.load(memory)
    with b.loop(count) as number:
        b.store(value, tile, b.ir.mul(number, b.index(b.target.vector_bytes)))


def _fill(b: VectorBuilder, tile: Any, bits: Any, count: Any) -> None:
    value = b.float_bits(bits)
    _each(
        b,
        count,
        lambda at: b.store(value, tile, _floats(b, at)),
        lambda at: b.store_scalar(b.ir.extract_element(value, ir.Constant(ir.IntType(32), 0)), tile, _floats(b, at)),
    )


def _gather(b: VectorBuilder, tile: Any, memory: Any, step: Any, count: Any, kind: Any) -> None:
    bytes_ = ir.VectorType(I8, b.lanes)

    def scalar_bool(address: Any, offset: Any) -> Any:
        return b.ir.uitofp(b.ir.load(b.pointer(address, I8, offset), align=1), F32)

    with b.ir.if_else(_is(b, kind, 0)) as (floats, bools):
        with floats, b.ir.if_else(_is(b, step, 4)) as (contiguous, strided):
            with contiguous:
                _each(
                    b,
                    count,
                    lambda at: b.store(b.load(memory, _floats(b, at)), tile, _floats(b, at)),
                    lambda at: b.store_scalar(b.load_scalar(memory, _floats(b, at)), tile, _floats(b, at)),
                )
            with strided, b.ir.if_else(_is(b, step, 0)) as (scalar, general):
                with scalar:
                    value = b.load_scalar(memory)
                    vector = b.splat(value)
                    _each(
                        b,
                        count,
                        lambda at: b.store(vector, tile, _floats(b, at)),
                        lambda at: b.store_scalar(value, tile, _floats(b, at)),
                    )
                with general, b.loop(count) as at:
                    b.store_scalar(b.load_scalar(memory, b.ir.mul(at, step)), tile, _floats(b, at))
        with bools, b.ir.if_else(_is(b, step, 1)) as (contiguous, strided):
            with contiguous:
                _each(
                    b,
                    count,
                    lambda at: b.store(
                        b.ir.uitofp(b.ir.load(b.pointer(memory, bytes_, at), align=1), b.vector), tile, _floats(b, at)
                    ),
                    lambda at: b.store_scalar(scalar_bool(memory, at), tile, _floats(b, at)),
                )
            with strided, b.loop(count) as at:
                b.store_scalar(scalar_bool(memory, b.ir.mul(at, step)), tile, _floats(b, at))


def _scatter(b: VectorBuilder, memory: Any, tile: Any, step: Any, count: Any, kind: Any) -> None:
    bytes_ = ir.VectorType(I8, b.lanes)

    def flag(at: Any) -> Any:
        value = b.load_scalar(tile, _floats(b, at))
        return b.ir.zext(b.ir.fcmp_unordered("!=", value, ir.Constant(F32, 0.0)), I8)

    def flags(at: Any) -> Any:
        return b.ir.zext(b.compare("!=", b.load(tile, _floats(b, at)), b.zero()), bytes_)

    with b.ir.if_else(_is(b, kind, 0)) as (floats, bools):
        with floats, b.ir.if_else(_is(b, step, 4)) as (contiguous, strided):
            with contiguous:
                _each(
                    b,
                    count,
                    lambda at: b.store(b.load(tile, _floats(b, at)), memory, _floats(b, at)),
                    lambda at: b.store_scalar(b.load_scalar(tile, _floats(b, at)), memory, _floats(b, at)),
                )
            with strided, b.loop(count) as at:
                b.store_scalar(b.load_scalar(tile, _floats(b, at)), memory, b.ir.mul(at, step))
        with bools, b.ir.if_else(_is(b, step, 1)) as (contiguous, strided):
            with contiguous:
                _each(
                    b,
                    count,
                    lambda at: b.ir.store(flags(at), b.pointer(memory, bytes_, at), align=1),
                    lambda at: b.ir.store(flag(at), b.pointer(memory, I8, at), align=1),
                )
            with strided, b.loop(count) as at:
                b.ir.store(flag(at), b.pointer(memory, I8, b.ir.mul(at, step)), align=1)


def _is(b: VectorBuilder, value: Any, constant: int) -> Any:
    return b.ir.icmp_signed("==", value, b.index(constant))


def _floats(b: VectorBuilder, position: Any) -> Any:
    return b.ir.mul(position, b.index(4))


def _each(b: VectorBuilder, count: Any, vector: Callable[[Any], None], scalar: Callable[[Any], None]) -> None:
    """``vector(position)`` at whole vectors, ``scalar(position)`` at the elements behind them."""
    lanes = b.index(b.lanes)
    whole = b.ir.udiv(count, lanes)
    with b.loop(whole) as number:
        vector(b.ir.mul(number, lanes))
    start = b.ir.mul(whole, lanes)
    with b.loop(b.ir.sub(count, start)) as number:
        scalar(b.ir.add(start, number))
