"""Arithmetic on vectors of 32-bit integers, and what joins them with floats: bits and conversions."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from cnnc.runtime.cpu.vector_values import VectorValues


class VectorIntegers(VectorValues):
    """Sums and shifts are modulo 2^32."""

    def bits(self, a: ir.Value) -> ir.Value:
        """The bits of floats as 32-bit integers."""
        return self.ir.bitcast(a, self.integers)

    def from_bits(self, a: ir.Value) -> ir.Value:
        return self.ir.bitcast(a, self.vector)

    def int_add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.add(a, b)

    def int_sub(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.sub(a, b)

    def int_and(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.and_(a, b)

    def int_or(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.or_(a, b)

    def shift_left(self, a: ir.Value, count: int) -> ir.Value:
        return self.ir.shl(a, self.int_const(count))

    def shift_right(self, a: ir.Value, count: int) -> ir.Value:
        """Arithmetic: the sign moves in."""
        return self.ir.ashr(a, self.int_const(count))

    def to_int(self, a: ir.Value) -> ir.Value:
        """Floats of integral value, below 2^31 in magnitude, as 32-bit integers."""
        return self.ir.fptosi(a, self.integers)

    def to_float(self, a: ir.Value) -> ir.Value:
        return self.ir.sitofp(a, self.vector)

    def concatenated(self, vectors: Sequence[ir.Value]) -> ir.Value:
        """Vectors of one type, one after the other."""
        joined = vectors[0]
        for vector in vectors[1:]:
            size = joined.type.count + vector.type.count
            # Both operands of a shuffle have one type.
            lanes = [min(lane, vector.type.count - 1) for lane in range(joined.type.count)]
            numbers = ir.Constant(ir.VectorType(ir.IntType(32), joined.type.count), lanes)
            other = self.ir.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), numbers)
            order = ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(size)))
            joined = self.ir.shuffle_vector(joined, other, order)
        return joined
