"""Moves of elements of 1, 2, 4 or 8 bytes: runs, splats, and square tiles transposed in registers. Imports numba."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.vector import I32, I64, VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class ElementMoves:
    """Functions for kernels; addresses and strides in bytes, counts in elements.

    ``copy_run(dst, src, count)``, ``splat_run(dst, src, count)`` (one source element),
    ``fill_run(dst, bits, count)`` (the low bytes of an int64), ``copy_element(dst, src)``, and
    ``transpose_tile(dst, src, dst_stride, src_stride)``, which moves ``tile`` x ``tile`` elements: row r of the source
    tile becomes column r of the destination tile.
    """

    copy_run: Any
    splat_run: Any
    fill_run: Any
    copy_element: Any
    transpose_tile: Any
    tile: int


@functools.cache
def element_moves(target: Target, size: int) -> ElementMoves:
    """The moves for elements of ``size`` bytes."""
    element = ir.IntType(8 * size)
    lanes = target.vector_bytes // size
    tile = min(16, lanes)

    def copy_run(b: VectorBuilder, dst: Any, src: Any, count: Any) -> None:
        _run(b, dst, count, element, lanes, lambda offset, kind: b.ir.load(b.pointer(src, kind, offset), align=size))

    def splat_run(b: VectorBuilder, dst: Any, src: Any, count: Any) -> None:
        _fill(b, dst, b.ir.load(b.pointer(src, element), align=size), count)

    def fill_run(b: VectorBuilder, dst: Any, bits: Any, count: Any) -> None:
        _fill(b, dst, bits if size == 8 else b.ir.trunc(bits, element), count)

    def _fill(b: VectorBuilder, dst: Any, value: Any, count: Any) -> None:
        first = b.ir.insert_element(ir.Constant(ir.VectorType(element, lanes), ir.Undefined), value, I32(0))
        filled = b.ir.shuffle_vector(first, first, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))
        _run(b, dst, count, element, lanes, lambda offset, kind: value if kind == element else filled)

    def copy_element(b: VectorBuilder, dst: Any, src: Any) -> None:
        b.ir.store(b.ir.load(b.pointer(src, element), align=size), b.pointer(dst, element), align=size)

    def transpose_tile(b: VectorBuilder, dst: Any, src: Any, dst_stride: Any, src_stride: Any) -> None:
        kind = ir.VectorType(element, tile)
        rows = [b.ir.load(b.pointer(src, kind, b.ir.mul(src_stride, I64(row))), align=size) for row in range(tile)]
        for row, value in enumerate(transposed(b, rows)):
            b.ir.store(value, b.pointer(dst, kind, b.ir.mul(dst_stride, I64(row))), align=size)

    return ElementMoves(
        copy_run=intrinsic(target, copy_run, 3),
        splat_run=intrinsic(target, splat_run, 3),
        fill_run=intrinsic(target, fill_run, 3),
        copy_element=intrinsic(target, copy_element, 2),
        transpose_tile=intrinsic(target, transpose_tile, 4),
        tile=tile,
    )


def transposed(b: VectorBuilder, rows: list[Any]) -> list[Any]:
    """The columns of a square of registers, in log2(n) rounds that interleave row i with row i + n/2."""
    count = len(rows)
    half = count // 2
    picks = ir.VectorType(I32, count)
    low = ir.Constant(picks, [lane // 2 + (lane % 2) * count for lane in range(count)])
    high = ir.Constant(picks, [half + lane // 2 + (lane % 2) * count for lane in range(count)])
    for _ in range(count.bit_length() - 1):
        mixed = []
        for i in range(half):
            mixed.append(b.ir.shuffle_vector(rows[i], rows[i + half], low))
            mixed.append(b.ir.shuffle_vector(rows[i], rows[i + half], high))
        rows = mixed
    return rows


def _run(b: VectorBuilder, dst: Any, count: Any, element: Any, lanes: int, value: Any) -> None:
    """Write ``count`` elements: whole vectors, then the last vector again shifted to end at the run's end.

    Runs shorter than a vector go element by element. ``value(offset, kind)`` gives what is written at a byte offset.
    """
    size, kind = element.width // 8, ir.VectorType(element, lanes)
    bytes_ = b.ir.mul(count, I64(size))

    def write(offset: Any, what: Any) -> None:
        b.ir.store(value(offset, what), b.pointer(dst, what, offset), align=size)

    with b.ir.if_else(b.ir.icmp_signed(">=", count, I64(lanes))) as (long, short):
        with long:
            with b.loop(b.ir.udiv(count, I64(lanes))) as i:
                write(b.ir.mul(i, I64(lanes * size)), kind)
            write(b.ir.sub(bytes_, I64(lanes * size)), kind)
        with short, b.loop(count) as i:
            write(b.ir.mul(i, I64(size)), element)
