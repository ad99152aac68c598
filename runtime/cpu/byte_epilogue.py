"""The end of tiles of bytes: int32 sums, biases included, times a factor a channel, to bytes in y."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir

from cnnc.runtime.cpu.requantization import Requantization
from cnnc.runtime.cpu.vector import VectorBuilder

PIXELS = 4
"""Neighbouring pixels whose bytes fill a vector: best stored together."""


@dataclass(frozen=True, slots=True)
class ByteOutput:
    """Where a block of channels ends. ``factors``: a float a lane. Lanes without ``mask`` are not stored."""

    b: VectorBuilder
    factors: ir.Value
    target: Requantization
    mask: ir.Value | None = None

    def store(self, total: ir.Value, y: ir.Value, place: int | ir.Value) -> None:
        """A pixel's sums at address ``y`` + ``place``."""
        self.b.store_bytes(self.target.stored(self._real(total)), y, place, self.mask)

    def store_pixels(self, totals: Sequence[ir.Value], y: ir.Value, place: int | ir.Value) -> None:
        """Sums of up to ``PIXELS`` pixels that lie one after the other in y; there is no mask."""
        packed = self.target.packed([self._real(total) for total in totals])
        self.b.ir.store(packed, self.b.pointer(y, packed.type, place), align=1)

    def _real(self, total: ir.Value) -> ir.Value:
        return self.b.mul(self.b.to_float(total), self.factors)
