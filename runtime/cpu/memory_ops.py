"""Raw memory access for Numba loops: integers, vector copies and fills at addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.vector import I64, VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class MemoryOps:
    """Functions for Numba code; all arguments are 64-bit integers.

    ``load_index(address)``, ``store_index(address, value)``;
    ``copy_vectors(dst, src, src_step_bytes, count)`` copies ``count`` vectors to consecutive places;
    ``zero_vectors(dst, count)``.
    """

    load_index: Any
    store_index: Any
    copy_vectors: Any
    zero_vectors: Any


def memory_ops(target: Target) -> MemoryOps:
    return MemoryOps(
        load_index=intrinsic(target, lambda b, address: b.load_index(address), 1, returns=True),
        store_index=intrinsic(target, _store_index, 2),
        copy_vectors=intrinsic(target, _copy_vectors, 4),
        zero_vectors=intrinsic(target, _zero_vectors, 2),
    )


def _store_index(b: VectorBuilder, address: ir.Value, value: ir.Value) -> None:
    b.ir.store(value, b.pointer(address, I64), align=8)


def _copy_vectors(b: VectorBuilder, dst: ir.Value, src: ir.Value, step: ir.Value, count: ir.Value) -> None:
    with b.loop(count) as number:
        value = b.load(src, b.ir.mul(number, step))
        b.store(value, dst, b.ir.mul(number, b.index(b.target.vector_bytes)))


def _zero_vectors(b: VectorBuilder, dst: ir.Value, count: ir.Value) -> None:
    with b.loop(count) as number:
        b.store(b.zero(), dst, b.ir.mul(number, b.index(b.target.vector_bytes)))
