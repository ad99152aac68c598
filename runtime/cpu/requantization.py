"""Floats to bytes: rint(x) + zero point, saturated, as QuantizeLinear rounds. Works on values in registers."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from cnnc.runtime.cpu.byte_packing import nearest_integers, pack_bytes, pack_words, packs_bytes
from cnnc.runtime.cpu.vector import I32, VectorBuilder

_MAGIC = 12582912.0
"""1.5 * 2^23: floats of this size are integers, so that adding it rounds, half to even, and the low bits of the sum are
the integer."""
_RANGE = 255
_MOST = 2.0**30  # any number that saturates and that 32 bits hold


class Requantization:
    """To bytes with a zero point, both given at run time as 64-bit integers.

    ``least`` is the smallest value of the type, 0 or -128; the largest is 255 more. NaN becomes the zero point where
    ``takes_nan`` says that it may occur.
    """

    def __init__(self, b: VectorBuilder, zero_point: ir.Value, least: ir.Value, takes_nan: bool = False) -> None:
        self.b = b
        self.takes_nan = takes_nan
        self.least = b.ir.trunc(least, I32)
        self.zero = b.ir.trunc(zero_point, I32)

    def stored(self, real: ir.Value) -> ir.Value:
        """The bytes of a vector of floats, as the low bits of 32-bit integers."""
        b = self.b
        if self.takes_nan:
            real = b.select(b.is_nan(real), b.zero(), real)
        # The bounds are integers: it is all the same whether rounding comes first.
        real = self._clamped(real, b.ir.sub(self.least, self.zero))
        return b.int_add(b.bits(b.add(real, b.const(_MAGIC))), b.splat(self.zero))

    def rounded(self, shifted: ir.Value) -> ir.Value:
        """The same of floats that hold the zero point already: ties go where shifted - zero_point is even.

        The difference is not computed, as its own rounding could make a tie. An odd number is added instead of an even
        one: then ties go to odd integers.
        """
        b = self.b
        odd = b.ir.and_(self.zero, ir.Constant(I32, 1))
        magic = b.add(b.const(_MAGIC), b.to_float(b.splat(odd)))
        return b.int_sub(b.bits(b.add(self._clamped(shifted, self.least), magic)), b.splat(odd))

    def packed(self, reals: Sequence[ir.Value]) -> ir.Value:
        """The bytes of up to four vectors of floats, none of them NaN, one vector after the other."""
        b = self.b
        if not packs_bytes(b):
            return b.concatenated([b.ir.trunc(self.stored(real), b.bytes) for real in reals])
        return pack_bytes(b, self._integers(reals), self.zero, self.least)

    def words(self, reals: Sequence[ir.Value]) -> ir.Value:
        """The bytes of four vectors of floats, none of them NaN, as a vector of words: byte n of a lane is that of
        vector n."""
        b = self.b
        if packs_bytes(b):
            return pack_words(b, self._integers(reals), self.zero, self.least)
        joined = b.int_const(0)
        for number, real in enumerate(reals):
            low = b.int_and(self.stored(real), b.int_const(_RANGE))
            joined = b.int_or(joined, b.shift_left(low, 8 * number))
        return joined

    def _integers(self, reals: Sequence[ir.Value]) -> list[ir.Value]:
        return [nearest_integers(self.b, self.b.at_most(real, self.b.const(_MOST))) for real in reals]

    def _clamped(self, real: ir.Value, low: ir.Value) -> ir.Value:
        b = self.b
        high = b.ir.add(low, ir.Constant(I32, _RANGE))
        return b.clamp(real, b.to_float(b.splat(low)), b.to_float(b.splat(high)))
