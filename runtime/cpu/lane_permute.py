"""Lanes of registers permuted by indices known at run time. Imports numba.

LLVM's shuffles take constant indices only, so that each x86 level has its own instruction: vpermps of AVX-512 and AVX2,
pshufb of SSSE3. Elsewhere lanes are picked one by one.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from cnnc.runtime.cpu.vector import I8, I32, VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class LaneMerges:
    """Functions for kernels; ``count`` consecutive registers, tables of one int32 a lane.

    ``merge(y, x, indices, mask, count)``: lane l of y becomes lane indices[l] of x where mask[l] is not 0.
    ``clear(y, mask, count)``: it becomes 0 there.
    """

    merge: Any
    clear: Any


@functools.cache
def lane_merges(target: Target) -> LaneMerges:
    """The functions for the target's registers."""
    return LaneMerges(intrinsic(target, _merge, 5), intrinsic(target, _clear, 3))


def _merge(b: VectorBuilder, y: Any, x: Any, indices: Any, mask: Any, count: Any) -> None:
    places, wanted = _table(b, indices), _wanted(b, mask)
    with b.loop(count) as number:
        offset = b.ir.mul(number, b.index(b.target.vector_bytes))
        b.store(b.select(wanted, permuted(b, b.load(x, offset), places), b.load(y, offset)), y, offset)


def _clear(b: VectorBuilder, y: Any, mask: Any, count: Any) -> None:
    wanted = _wanted(b, mask)
    with b.loop(count) as number:
        offset = b.ir.mul(number, b.index(b.target.vector_bytes))
        b.store(b.select(wanted, b.zero(), b.load(y, offset)), y, offset)


def permuted(b: VectorBuilder, value: Any, indices: Any) -> Any:
    """Lane l of the result is lane indices[l] of ``value``; indices are 32-bit integers from 0 to lanes - 1."""
    if not b.target.triple.startswith("x86_64"):
        return _picked(b, value, indices)
    if b.lanes == 4:
        bytes_ = ir.VectorType(I8, 16)
        # The four bytes of an element have the indices 4i, 4i + 1, 4i + 2, 4i + 3.
        spread = b.ir.add(b.ir.mul(indices, b.int_const(0x04040404)), b.int_const(0x03020100))
        kind = ir.FunctionType(bytes_, [bytes_, bytes_])
        shuffle = cgutils.get_or_insert_function(b.ir.module, kind, "llvm.x86.ssse3.pshuf.b.128")
        moved = b.ir.call(shuffle, [b.ir.bitcast(value, bytes_), b.ir.bitcast(spread, bytes_)])
        return b.ir.bitcast(moved, b.vector)
    name = "llvm.x86.avx512.permvar.sf.512" if b.lanes == 16 else "llvm.x86.avx2.permps"
    kind = ir.FunctionType(b.vector, [b.vector, b.integers])
    return b.ir.call(cgutils.get_or_insert_function(b.ir.module, kind, name), [value, indices])


def _picked(b: VectorBuilder, value: Any, indices: Any) -> Any:
    result = b.zero()
    for lane in range(b.lanes):
        source = b.ir.extract_element(indices, ir.Constant(I32, lane))
        result = b.ir.insert_element(result, b.ir.extract_element(value, source), ir.Constant(I32, lane))
    return result


def _table(b: VectorBuilder, address: Any) -> Any:
    return b.ir.load(b.pointer(address, b.integers), align=4)


def _wanted(b: VectorBuilder, mask: Any) -> Any:
    return b.ir.icmp_signed("!=", _table(b, mask), b.int_const(0))
