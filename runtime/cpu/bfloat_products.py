"""Products of bfloat16, the upper half of a float32, two in each 32-bit lane, added in float32 (AVX512-BF16).

``vdpbf16ps`` adds the products of the upper and of the lower halves of a lane, rounding to nearest even; it takes
denormals for zero and gives zero for denormal results. ``vcvtneps2bf16`` rounds to nearest even, keeps NaN and takes
denormals for zero. (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.)
"""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.conv_packing import PAIR
from cnnc.runtime.cpu.vector import VectorBuilder

_UPPER_HALF = -0x10000  # 0xffff0000 as int32


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite has no class for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def add_pair_products(b: VectorBuilder, weights: ir.Value, inputs: ir.Value, total: ir.Value) -> ir.Value:
    """``total``, float32, and both products of each lane; ``weights`` and ``inputs`` hold a pair in 32 bits a lane."""
    pairs = ir.VectorType(_BFloat(), PAIR * b.lanes)
    name = f"llvm.x86.avx512bf16.dpbf16ps.{8 * b.target.vector_bytes}"
    function = b.declare(name, ir.FunctionType(b.vector, [b.vector, pairs, pairs]))
    return b.ir.call(function, [total, b.ir.bitcast(weights, pairs), b.ir.bitcast(inputs, pairs)])


def widened_pairs(b: VectorBuilder, words: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The lower and the upper numbers of 32-bit lanes, as float32; any CPU does it."""
    return b.from_bits(b.shift_left(words, 16)), b.from_bits(b.int_and(words, b.int_const(_UPPER_HALF)))


def rounded(b: VectorBuilder, value: ir.Value) -> ir.Value:
    """A vector of float32 as bfloat16, half as many bytes; the numbers lie in the order of the lanes."""
    halves = ir.VectorType(_BFloat(), b.lanes)
    name = f"llvm.x86.avx512bf16.cvtneps2bf16.{8 * b.target.vector_bytes}"
    stored = b.ir.call(b.declare(name, ir.FunctionType(halves, [b.vector])), [value])
    return b.ir.bitcast(stored, ir.VectorType(ir.IntType(16), b.lanes))


def copy_rounded(b: VectorBuilder, dst: ir.Value, src: ir.Value, step: ir.Value, count: ir.Value) -> None:
    """Write ``count`` vectors, ``step`` bytes apart, to consecutive places as bfloat16."""
    with b.loop(count) as number:
        value = rounded(b, b.load(src, b.ir.mul(number, step)))
        b.store(value, dst, b.ir.mul(number, b.index(b.target.vector_bytes // 2)))
