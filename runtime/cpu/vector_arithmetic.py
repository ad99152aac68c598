"""Arithmetic on float32 vectors, and on the float64 vectors that take two registers each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from llvmlite import ir

from cnnc.runtime.cpu.vector_values import F32, F64, I32, VectorValues
from cnnc.runtime.jit.target import has_fma


class VectorArithmetic(VectorValues):
    """Operands are vectors of one type, or single floats where LLVM's instruction takes them. Comparisons
    give masks."""

    def float_bits(self, bits: ir.Value) -> ir.Value:
        """The float whose bits are the low half of a 64-bit integer, in every lane: run-time parameters come so."""
        return self.splat(self.ir.bitcast(self.ir.trunc(bits, I32), F32))

    def widen(self, a: ir.Value) -> ir.Value:
        """A vector of floats, or one float, as float64."""
        return self.ir.fpext(a, self.wide if a.type == self.vector else F64)

    def narrow(self, a: ir.Value) -> ir.Value:
        """A wide vector rounded to float32."""
        return self.ir.fptrunc(a, self.vector)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.fadd(a, b)

    def sub(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.fsub(a, b)

    def mul(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.fmul(a, b)

    def div(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.fdiv(a, b)

    def neg(self, a: ir.Value) -> ir.Value:
        return self.ir.fneg(a)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c; rounded once where the CPU has the instruction."""
        if not has_fma(self.target):
            return self.ir.fadd(self.ir.fmul(a, b), c)
        return self._unary_family("fma", a, b, c)

    def fused_multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c rounded once: by way of float64 where the CPU lacks the instruction, for exact products of it."""
        if has_fma(self.target):
            return self.fma(a, b, c)
        return self.narrow(self.add(self.mul(self.widen(a), self.widen(b)), self.widen(c)))

    def abs(self, a: ir.Value) -> ir.Value:
        return self._unary_family("fabs", a)

    def sqrt(self, a: ir.Value) -> ir.Value:
        return self._unary_family("sqrt", a)

    def floor(self, a: ir.Value) -> ir.Value:
        return self._unary_family("floor", a)

    def ceil(self, a: ir.Value) -> ir.Value:
        return self._unary_family("ceil", a)

    def round_even(self, a: ir.Value) -> ir.Value:
        """To the nearest integer, ties to even."""
        return self._unary_family("roundeven", a)

    def truncate(self, a: ir.Value) -> ir.Value:
        return self._unary_family("trunc", a)

    def copysign(self, magnitude: ir.Value, sign: ir.Value) -> ir.Value:
        return self._unary_family("copysign", magnitude, sign)

    def maximum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The larger one, NaN if either is NaN (ONNX Max, Clip, MaxPool)."""
        return self.select(self.is_nan(a), self.const(math.nan), self._larger(a, b))

    def maximum_of_three(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """The largest one, NaN if any is NaN: one comparison looks for NaN in two operands."""
        is_nan = self.ir.fcmp_unordered("uno", a, b)
        return self.select(is_nan, self.const(math.nan), self._larger(self._larger(a, b), c))

    def _larger(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """max(a, b) in one instruction; b where either is NaN."""
        return self.select(self.compare(">", a, b), a, b)

    def minimum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The smaller one, NaN if either is NaN."""
        return self.select(self.is_nan(a), self.const(math.nan), self.select(self.compare("<", a, b), a, b))

    def at_least(self, a: ir.Value, bound: ir.Value) -> ir.Value:
        """max(a, bound) in one instruction, for a bound that is not NaN; NaN stays NaN."""
        return self.select(self.compare("<", a, bound), bound, a)

    def at_most(self, a: ir.Value, bound: ir.Value) -> ir.Value:
        """min(a, bound) in one instruction, for a bound that is not NaN; NaN stays NaN."""
        return self.select(self.compare(">", a, bound), bound, a)

    def clamp(self, a: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
        return self.at_most(self.at_least(a, low), high)

    def polynomial(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """Horner's rule; the coefficient of the highest power comes first."""
        total = self.const(coefficients[0])
        for coefficient in coefficients[1:]:
            total = self.fma(total, x, self.const(coefficient))
        return total

    def compare(self, operator: str, a: ir.Value, b: ir.Value) -> ir.Value:
        """Ordered comparison (false for NaN), except ``!=``, which is true for NaN."""
        compare = self.ir.fcmp_unordered if operator == "!=" else self.ir.fcmp_ordered
        return compare(operator, a, b)

    def is_nan(self, a: ir.Value) -> ir.Value:
        return self.ir.fcmp_unordered("uno", a, a)

    def sum_lanes(self, a: ir.Value) -> ir.Value:
        """The sum of all lanes as a scalar, by halves: the order is fixed."""
        return self._fold(a, self.ir.fadd)

    def _fold(self, a: ir.Value, combine: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
        width = self.lanes
        while width > 1:
            width //= 2
            low = ir.Constant(ir.VectorType(I32, width), list(range(width)))
            high = ir.Constant(ir.VectorType(I32, width), list(range(width, 2 * width)))
            undefined = ir.Constant(a.type, ir.Undefined)
            a = combine(self.ir.shuffle_vector(a, undefined, low), self.ir.shuffle_vector(a, undefined, high))
        return self.ir.extract_element(a, ir.Constant(I32, 0))

    def _unary_family(self, name: str, *operands: ir.Value) -> ir.Value:
        kind = operands[0].type
        suffix = {self.vector: f"v{self.lanes}f32", self.wide: f"v{self.lanes}f64"}.get(kind, "f32")
        function = self.declare(f"llvm.{name}.{suffix}", ir.FunctionType(kind, [kind] * len(operands)))
        return self.ir.call(function, operands)
