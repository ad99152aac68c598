"""Floats to bytes: rint(x) + zero point, saturated, as QuantizeLinear rounds. Works on values in registers."""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.vector import I32, VectorBuilder

_MAGIC = 12582912.0
"""1.5 * 2^23: floats of this size are integers, so that adding it rounds, half to even, and the low bits of the sum are
the integer."""
_RANGE = 255


class Requantization:
    """To bytes with a zero point, both given at run time as 64-bit integers.

    ``least`` is the smallest value of the type, 0 or -128; the largest is 255 more. NaN becomes the zero point where
    ``takes_nan`` says that it may occur.
    """

    def __init__(self, b: VectorBuilder, zero_point: ir.Value, least: ir.Value, takes_nan: bool = False) -> None:
        self.b = b
        self.takes_nan = takes_nan
        self.least = least
        self.zero = zero_point
        self.zero_point = b.splat(b.ir.trunc(zero_point, I32))
        self.low, self.high = self._bounds(b.ir.sub(least, zero_point))

    def stored(self, real: ir.Value) -> ir.Value:
        """The bytes of a vector of floats, as 32-bit integers."""
        b = self.b
        if self.takes_nan:
            real = b.select(b.is_nan(real), b.zero(), real)
        # The bounds are integers: it is all the same whether rounding comes first.
        return b.int_add(self._integers(b.clamp(real, self.low, self.high)), self.zero_point)

    def rounded(self, shifted: ir.Value) -> ir.Value:
        """The same of floats that hold the zero point already: ties go where shifted - zero_point is even.

        The difference is not computed, as its own rounding could make a tie. An odd number is added instead of an even
        one: then ties go to odd integers.
        """
        b = self.b
        odd = b.int_and(self.zero_point, b.int_const(1))
        magic = b.add(b.const(_MAGIC), b.to_float(odd))
        return self._integers(b.clamp(shifted, *self._bounds(self.least)), magic)

    def _bounds(self, low: ir.Value) -> tuple[ir.Value, ir.Value]:
        b = self.b
        high = b.ir.add(low, b.index(_RANGE))
        return b.to_float(b.splat(b.ir.trunc(low, I32))), b.to_float(b.splat(b.ir.trunc(high, I32)))

    def _integers(self, real: ir.Value, magic: ir.Value | None = None) -> ir.Value:
        """Floats of at most 2^22 in magnitude, rounded."""
        b = self.b
        magic = b.const(_MAGIC) if magic is None else magic
        return b.int_sub(b.bits(b.add(real, magic)), b.bits(magic))
