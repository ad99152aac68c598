"""What the lists of ``sparse_packing`` are multiplied with: float32, or words of four bytes summed in int32.

A step is a vector of a panel row, a word for each of its pixels, times one word of weights for all of them: the
reverse of a dense tile's step (``tile_arithmetic``), where the word is of inputs and the vector of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from llvmlite import ir

from cnnc.runtime.cpu.byte_products import add_quad_products, input_quads, weight_quads
from cnnc.runtime.cpu.tile_arithmetic import Factor
from cnnc.runtime.cpu.vector import VectorBuilder


class ListArithmetic(Protocol):
    """How one step is done. Offsets are in bytes; rows and sums are aligned to vectors."""

    def zero(self, b: VectorBuilder) -> ir.Value:
        """An empty sum."""

    def row(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        """A vector of a panel row."""

    def weight(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        """A word of weights for all pixels."""

    def multiply_add(self, b: VectorBuilder, row: Factor, weight: Factor, total: ir.Value) -> ir.Value:
        """``total`` and the products of the step."""

    def add_stored(self, b: VectorBuilder, total: ir.Value, address: ir.Value, offset: int) -> ir.Value:
        """``total`` and the sum that lies in memory."""


@dataclass(frozen=True, slots=True)
class FloatLists:
    """Products of float32."""

    def zero(self, b: VectorBuilder) -> ir.Value:
        return b.zero()

    def row(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return b.load(address, offset, aligned=True)

    def weight(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return b.broadcast(address, offset)

    def multiply_add(self, b: VectorBuilder, row: Factor, weight: Factor, total: ir.Value) -> ir.Value:
        return b.fma(row, weight, total)

    def add_stored(self, b: VectorBuilder, total: ir.Value, address: ir.Value, offset: int) -> ir.Value:
        return b.add(total, b.load(address, offset, aligned=True))


@dataclass(frozen=True, slots=True)
class ByteLists:
    """Words of four unsigned bytes, times four int8, summed in int32 modulo 2^32."""

    def zero(self, b: VectorBuilder) -> ir.Value:
        return b.int_const(0)

    def row(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return input_quads(b, b.load_integers(address, offset))

    def weight(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return weight_quads(b, b.splat(b.load_word(address, offset)))

    def multiply_add(self, b: VectorBuilder, row: Factor, weight: Factor, total: ir.Value) -> ir.Value:
        return add_quad_products(b, weight, row, total)

    def add_stored(self, b: VectorBuilder, total: ir.Value, address: ir.Value, offset: int) -> ir.Value:
        return b.int_add(total, b.load_integers(address, offset))


def list_arithmetic(element: str) -> ListArithmetic:
    """The arithmetic for inputs of ``element``: f32, or u8 or i8, whose panels hold unsigned bytes."""
    return FloatLists() if element == "f32" else ByteLists()
