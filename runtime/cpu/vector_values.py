"""What a vector register holds: element types, constants, one value in all lanes, masks."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils

from cnnc.runtime.kernel import Target

I1, I8, I32, I64, F32, F64 = (
    ir.IntType(1),
    ir.IntType(8),
    ir.IntType(32),
    ir.IntType(64),
    ir.FloatType(),
    ir.DoubleType(),
)


class VectorValues:
    """Vectors of ``lanes`` floats, float64, 32-bit integers or bytes, and a ``mask`` of one bit a lane.

    The base of all parts of ``VectorBuilder``.
    """

    def __init__(self, builder: ir.IRBuilder, target: Target) -> None:
        self.ir = builder
        self.target = target
        self.lanes = target.lanes
        self.vector = ir.VectorType(F32, self.lanes)
        self.wide = ir.VectorType(F64, self.lanes)
        self.integers = ir.VectorType(I32, self.lanes)
        self.bytes = ir.VectorType(I8, self.lanes)
        self.mask = ir.VectorType(I1, self.lanes)

    def index(self, value: int) -> ir.Value:
        """A 64-bit integer constant."""
        return ir.Constant(I64, value)

    def const(self, value: float) -> ir.Value:
        """A float32 constant in every lane."""
        return ir.Constant(self.vector, [float(value)] * self.lanes)

    def int_const(self, value: int) -> ir.Value:
        """A 32-bit integer constant in every lane."""
        return ir.Constant(self.integers, [value] * self.lanes)

    def zero(self) -> ir.Value:
        return self.const(0.0)

    def wide_zero(self) -> ir.Value:
        return ir.Constant(self.wide, [0.0] * self.lanes)

    def splat(self, scalar: ir.Value) -> ir.Value:
        """A scalar (float, float64 or 32-bit integer) in every lane."""
        kind = {F32: self.vector, F64: self.wide}.get(scalar.type, self.integers)
        single = self.ir.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        lanes = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.ir.shuffle_vector(single, ir.Constant(kind, ir.Undefined), lanes)

    def splat_mask(self, bit: ir.Value) -> ir.Value:
        """A single bit in every lane of a mask."""
        return self.ir.icmp_signed("!=", self.splat(self.ir.zext(bit, I32)), self.int_const(0))

    def tail_mask(self, count: ir.Value) -> ir.Value:
        """True in lanes below the 64-bit ``count``; none for negative counts."""
        numbers = ir.Constant(self.integers, list(range(self.lanes)))
        clamped = self.ir.select(self.ir.icmp_signed(">", count, self.index(self.lanes)), self.index(self.lanes), count)
        return self.ir.icmp_signed("<", numbers, self.splat(self.ir.trunc(clamped, I32)))

    def select(self, mask: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.select(mask, a, b)

    def permute(self, a: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """Lane l of the result is lane ``lanes[l]`` of ``a``."""
        numbers = ir.Constant(self.integers, list(lanes))
        return self.ir.shuffle_vector(a, ir.Constant(self.vector, ir.Undefined), numbers)

    def declare(self, name: str, kind: ir.FunctionType) -> ir.Function:
        """A function of that name in the module, such as an LLVM intrinsic."""
        return cgutils.get_or_insert_function(self.ir.module, kind, name)
