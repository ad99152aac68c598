"""What a register tile computes with: float32, float64 sums of float32 products, bfloat16 summed in float32, or bytes
or int16 summed in int32.

A tile sums over *steps*: a word of 32 bits of input, broadcast to all output lanes, meets a vector of weights. For
floats a step is one input channel. For 16 bits it is a *pair*, and for bytes a *quad* of neighbouring input channels,
each output lane with two or four weights of its own. So the addresses of a tile are the same for all of them. Where
only the weights are bfloat16, a step's input is two words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from llvmlite import ir

from cnnc.runtime.cpu.bfloat_products import add_pair_products, widened_pairs
from cnnc.runtime.cpu.byte_products import add_int16_products, add_quad_products, input_quads, weight_quads
from cnnc.runtime.cpu.vector import VectorBuilder

Factor = Any
"""A factor of a step's products, as ``multiply_add`` takes it: a vector, or ``Quads``."""


Word = Any
"""A step's input as it lies in memory: a scalar, or two."""


class Arithmetic(Protocol):
    """How one step is done; ``b`` is the builder of the sum's vector, which may be half of a block."""

    def zero(self, b: VectorBuilder) -> ir.Value:
        """An empty sum."""

    def weights(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        """A step's weights of all lanes."""

    def word(self, b: VectorBuilder, address: ir.Value, offset: int) -> Word:
        """A step's input."""

    def broadcast(self, b: VectorBuilder, word: Word) -> Factor:
        """A step's input for all lanes."""

    def multiply_add(self, b: VectorBuilder, weights: Factor, inputs: Factor, total: ir.Value) -> ir.Value:
        """``total`` and the products of the step."""


@dataclass(frozen=True, slots=True)
class FloatArithmetic:
    """Products of float32; with ``wide`` they are exact, and so are all but the last bits of their float64 sums."""

    wide: bool = False

    def zero(self, b: VectorBuilder) -> ir.Value:
        return b.wide_zero() if self.wide else b.zero()

    def weights(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return self.term(b, b.load(address, offset))

    def word(self, b: VectorBuilder, address: ir.Value, offset: int) -> ir.Value:
        return self.term(b, b.load_scalar(address, offset))

    def broadcast(self, b: VectorBuilder, word: ir.Value) -> Factor:
        return b.splat(word)

    def multiply_add(self, b: VectorBuilder, weights: Factor, inputs: Factor, total: ir.Value) -> ir.Value:
        return b.fma(weights, inputs, total)

    def term(self, b: VectorBuilder, value: ir.Value) -> ir.Value:
        """A factor of a product, in the type of the sums."""
        return b.widen(value) if self.wide else value


@dataclass(frozen=True, slots=True)
class BFloatArithmetic:
    """Pairs of bfloat16, summed in float32."""

    def zero(self, b: VectorBuilder) -> ir.Value:
        return b.zero()

    def weights(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return b.load_integers(address, offset)

    def word(self, b: VectorBuilder, address: ir.Value, offset: int) -> ir.Value:
        return b.load_word(address, offset)

    def broadcast(self, b: VectorBuilder, word: ir.Value) -> Factor:
        return b.splat(word)

    def multiply_add(self, b: VectorBuilder, weights: Factor, inputs: Factor, total: ir.Value) -> ir.Value:
        return add_pair_products(b, weights, inputs, total)


@dataclass(frozen=True, slots=True)
class BFloatWeightArithmetic:
    """Pairs of float32 and of bfloat16 weights, which are exact in float32; products and sums are float32."""

    def zero(self, b: VectorBuilder) -> ir.Value:
        return b.zero()

    def weights(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return widened_pairs(b, b.load_integers(address, offset))

    def word(self, b: VectorBuilder, address: ir.Value, offset: int) -> Word:
        return b.load_scalar(address, offset), b.load_scalar(address, offset + 4)

    def broadcast(self, b: VectorBuilder, word: Word) -> Factor:
        return tuple(map(b.splat, word))

    def multiply_add(self, b: VectorBuilder, weights: Factor, inputs: Factor, total: ir.Value) -> ir.Value:
        for weight, value in zip(weights, inputs, strict=True):
            total = b.fma(weight, value, total)
        return total


@dataclass(frozen=True, slots=True)
class ByteArithmetic:
    """Quads of input bytes, uint8 or, if ``signed``, int8 counted from -128; weights are int8."""

    signed: bool = False

    def zero(self, b: VectorBuilder) -> ir.Value:
        return b.int_const(0)

    def weights(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return weight_quads(b, b.load_integers(address, offset))

    def word(self, b: VectorBuilder, address: ir.Value, offset: int) -> ir.Value:
        word = b.load_word(address, offset)
        return b.ir.xor(word, ir.Constant(word.type, SIGN_BITS)) if self.signed else word

    def broadcast(self, b: VectorBuilder, word: ir.Value) -> Factor:
        return input_quads(b, b.splat(word))

    def multiply_add(self, b: VectorBuilder, weights: Factor, inputs: Factor, total: ir.Value) -> ir.Value:
        return add_quad_products(b, weights, inputs, total)


@dataclass(frozen=True, slots=True)
class Int16Arithmetic:
    """Pairs of int16 inputs and weights, summed in int32 modulo 2^32."""

    def zero(self, b: VectorBuilder) -> ir.Value:
        return b.int_const(0)

    def weights(self, b: VectorBuilder, address: ir.Value, offset: int) -> Factor:
        return b.load_integers(address, offset)

    def word(self, b: VectorBuilder, address: ir.Value, offset: int) -> ir.Value:
        return b.load_word(address, offset)

    def broadcast(self, b: VectorBuilder, word: ir.Value) -> Factor:
        return b.splat(word)

    def multiply_add(self, b: VectorBuilder, weights: Factor, inputs: Factor, total: ir.Value) -> ir.Value:
        return add_int16_products(b, weights, inputs, total)


SIGN_BITS = -0x7F7F7F80  # 0x80808080 as int32: turning it over adds 128 to each int8


def arithmetic(element: str, wide: bool, products: str) -> Arithmetic:
    """The arithmetic for inputs of ``element``, f32, u8, i8 or i16; ``products``, for f32, as of ``products_of``."""
    if products == "bf16":
        return BFloatArithmetic()
    if products == "bf16_weights":
        return BFloatWeightArithmetic()
    if element == "i16":
        return Int16Arithmetic()
    return FloatArithmetic(wide) if element == "f32" else ByteArithmetic(element == "i8")


def weight_factor(b: VectorBuilder, element: str, words: ir.Value) -> Factor:
    """Weights that lie in a vector already, floats or quads, as ``multiply_add`` takes them for ``element``."""
    return words if element == "f32" else weight_quads(b, words)


def input_factor(b: VectorBuilder, element: str, words: ir.Value) -> Factor:
    """The same of inputs, each lane a step's input of its own, as ``word`` gives them."""
    return words if element == "f32" else input_quads(b, words)
