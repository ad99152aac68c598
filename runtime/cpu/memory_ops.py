"""Raw memory access for Numba loops: integers, vector copies and fills at addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.vector import I32, VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class MemoryOps:
    """Functions for Numba code; all arguments are 64-bit integers.

    ``load_index(address)``, ``store_index(address, value)``;
    ``copy_vectors(dst, src, src_step_bytes, count)`` copies ``count`` vectors to consecutive places;
    ``zero_vectors(dst, count)`` and ``fill_vectors(dst, count, bits)``, which repeats the low 32 bits of ``bits``;
    ``expect_writes(dst, count)`` asks for the cache lines of ``count`` vectors that will be written;
    ``copy_floats(dst, src, src_step_bytes, count)`` and ``fill_floats(dst, count, bits)`` do the same with single
    floats, ranges of any alignment.
    ``pack_panel(dst, width, src, row_step_bytes, column_step_bytes, rows, columns, scale_bits)`` writes scale * src
    transposed: dst[column][row] for ``rows`` <= ``width``, zeros in the rest of the width.
    """

    load_index: Any
    store_index: Any
    copy_vectors: Any
    zero_vectors: Any
    expect_writes: Any
    copy_floats: Any
    fill_vectors: Any
    fill_floats: Any
    pack_panel: Any


def memory_ops(target: Target) -> MemoryOps:
    return MemoryOps(
        load_index=intrinsic(target, lambda b, address: b.load_index(address), 1, returns=True),
        store_index=intrinsic(target, lambda b, address, value: b.store_index(value, address), 2),
        copy_vectors=intrinsic(target, _copy_vectors, 4),
        zero_vectors=intrinsic(target, _zero_vectors, 2),
        expect_writes=intrinsic(target, _expect_writes, 2),
        copy_floats=intrinsic(target, _copy_floats, 4),
        fill_vectors=intrinsic(target, _fill_vectors, 3),
        fill_floats=intrinsic(target, _fill_floats, 3),
        pack_panel=intrinsic(target, _pack_panel, 8),
    )


def _copy_vectors(b: VectorBuilder, dst: ir.Value, src: ir.Value, step: ir.Value, count: ir.Value) -> None:
    with b.loop(count) as number:
        value = b.load(src, b.ir.mul(number, step))
        b.store(value, dst, b.ir.mul(number, b.index(b.target.vector_bytes)))


def _zero_vectors(b: VectorBuilder, dst: ir.Value, count: ir.Value) -> None:
    with b.loop(count) as number:
        b.store(b.zero(), dst, b.ir.mul(number, b.index(b.target.vector_bytes)))


def _expect_writes(b: VectorBuilder, dst: ir.Value, count: ir.Value) -> None:
    with b.loop(count) as number:
        b.prefetch(b.ir.add(dst, b.ir.mul(number, b.index(b.target.vector_bytes))), writes=True)


def _copy_floats(b: VectorBuilder, dst: ir.Value, src: ir.Value, step: ir.Value, count: ir.Value) -> None:
    """Whole vectors where floats follow each other or every second one is taken; the rest one by one."""
    lanes = b.lanes
    done = b.variable(b.index(0))
    with b.when(b.ir.icmp_signed("==", step, b.index(4))):
        whole = b.ir.ashr(count, b.index(lanes.bit_length() - 1))
        _copy_vectors(b, dst, src, b.index(b.target.vector_bytes), whole)
        b.set(done, b.ir.mul(whole, b.index(lanes)))
    with b.when(b.ir.icmp_signed("==", step, b.index(8))):
        # The last float of the second vector lies before the next one taken: there must be a next one.
        rest = b.ir.sub(count, b.index(1))
        whole = b.ir.ashr(rest, b.index(lanes.bit_length() - 1))
        even = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(0, 2 * lanes, 2)))
        with b.loop(whole) as number:
            place = b.ir.mul(number, b.index(2 * b.target.vector_bytes))
            first = b.load(src, place)
            second = b.load(src, b.ir.add(place, b.index(b.target.vector_bytes)))
            b.store(b.ir.shuffle_vector(first, second, even), dst, b.ir.ashr(place, b.index(1)))
        moved = b.ir.mul(whole, b.index(lanes))
        b.set(done, b.ir.select(b.ir.icmp_signed(">", moved, b.index(0)), moved, b.index(0)))
    with b.loop(b.ir.sub(count, b.get(done))) as number:
        index = b.ir.add(number, b.get(done))
        b.store_scalar(b.load_scalar(src, b.ir.mul(index, step)), dst, b.ir.mul(index, b.index(4)))


def _fill_vectors(b: VectorBuilder, dst: ir.Value, count: ir.Value, bits: ir.Value) -> None:
    value = b.splat(b.ir.trunc(bits, I32))
    with b.loop(count) as number:
        b.store(value, dst, b.ir.mul(number, b.index(b.target.vector_bytes)))


def _fill_floats(b: VectorBuilder, dst: ir.Value, count: ir.Value, bits: ir.Value) -> None:
    word = b.ir.trunc(bits, I32)
    with b.loop(count) as number:
        b.store_word(word, dst, b.ir.mul(number, b.index(4)))


def _pack_panel(
    b: VectorBuilder,
    dst: ir.Value,
    width: ir.Value,
    src: ir.Value,
    row_step: ir.Value,
    column_step: ir.Value,
    rows: ir.Value,
    columns: ir.Value,
    scale_bits: ir.Value,
) -> None:
    scale = b.ir.bitcast(b.ir.trunc(scale_bits, ir.IntType(32)), ir.FloatType())
    pitch = b.ir.mul(width, b.index(4))
    adjacent = b.ir.icmp_signed("==", row_step, b.index(4))
    with b.choose(adjacent) as (rows_adjacent, rows_apart):
        with rows_adjacent, b.loop(columns) as column:
            place = b.ir.add(src, b.ir.mul(column, column_step))
            target_row = b.ir.add(dst, b.ir.mul(column, pitch))
            _scale_run(b, target_row, place, rows, scale)
        with rows_apart:
            # Strips of columns, so that the lines written stay in the first-level cache while rows pass.
            strip = 64
            strips = b.ir.ashr(b.ir.add(columns, b.index(strip - 1)), b.index(strip.bit_length() - 1))
            with b.loop(strips) as number, b.loop(rows) as row:
                first = b.ir.mul(number, b.index(strip))
                left = b.ir.sub(columns, first)
                count = b.ir.select(b.ir.icmp_signed("<", left, b.index(strip)), left, b.index(strip))
                row_src = b.ir.add(src, b.ir.mul(row, row_step))
                row_dst = b.ir.add(dst, b.ir.mul(row, b.index(4)))
                with b.loop(count) as inner:
                    column = b.ir.add(first, inner)
                    value = b.load_scalar(row_src, b.ir.mul(column, column_step))
                    b.store_scalar(b.ir.fmul(value, scale), row_dst, b.ir.mul(column, pitch))
    with b.loop(columns) as column:
        rest = b.ir.add(b.ir.add(dst, b.ir.mul(column, pitch)), b.ir.mul(rows, b.index(4)))
        _fill_floats(b, rest, b.ir.sub(width, rows), b.index(0))


def _scale_run(b: VectorBuilder, dst: ir.Value, src: ir.Value, count: ir.Value, scale: ir.Value) -> None:
    whole = b.ir.ashr(count, b.index(b.lanes.bit_length() - 1))
    factor = b.splat(scale)
    with b.loop(whole) as number:
        place = b.ir.mul(number, b.index(b.target.vector_bytes))
        b.store(b.mul(b.load(src, place), factor), dst, place)
    done = b.ir.mul(whole, b.index(b.lanes))
    with b.loop(b.ir.sub(count, done)) as number:
        place = b.ir.mul(b.ir.add(number, done), b.index(4))
        b.store_scalar(b.ir.fmul(b.load_scalar(src, place), scale), dst, place)
