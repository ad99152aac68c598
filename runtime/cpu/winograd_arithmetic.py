"""What Winograd's method computes with: float32, or bytes that become int16 and are summed in int32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from llvmlite import ir

from cnnc.runtime.cpu.byte_epilogue import ByteOutput
from cnnc.runtime.cpu.epilogue import Activation, emit_output
from cnnc.runtime.cpu.requantization import Requantization
from cnnc.runtime.cpu.vector import VectorBuilder
from cnnc.runtime.cpu.winograd_integers import integer_matrices, inverse_and_shift
from cnnc.runtime.cpu.winograd_matrices import Matrices, matrices, monic_matrices

StoreRow = Callable[[Sequence[ir.Value], ir.Value], None]
"""(sums of a row of pixels, offset of the first into y): finishes the valid ones of them and stores them."""


class Linear(Protocol):
    """What a transform by a matrix needs of its numbers; a ``VectorBuilder`` has it for float32."""

    def const(self, value: float) -> ir.Value: ...

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value: ...

    def sub(self, a: ir.Value, b: ir.Value) -> ir.Value: ...

    def mul(self, a: ir.Value, b: ir.Value) -> ir.Value: ...

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c."""


class Integers:
    """``Linear`` on as many integers of ``bits`` as the builder has lanes, modulo 2^bits."""

    def __init__(self, b: VectorBuilder, bits: int) -> None:
        self.ir = b.ir
        self.kind = ir.VectorType(ir.IntType(bits), b.lanes)

    def const(self, value: float) -> ir.Value:
        assert value == int(value), "a matrix of integers"
        return ir.Constant(self.kind, [int(value)] * self.kind.count)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.add(a, b)

    def sub(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.sub(a, b)

    def mul(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.mul(a, b)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        return self.ir.add(self.ir.mul(a, b), c)


class WinogradArithmetic(Protocol):
    """The numbers of a variant; ``factors`` is the element of its register tile."""

    factors: str

    def matrices(self, m: int, r: int) -> Matrices: ...

    def pixel_bytes(self, b: VectorBuilder) -> int:
        """Of a vector of transformed inputs."""

    def inputs(self, b: VectorBuilder) -> Linear: ...

    def sums(self, b: VectorBuilder) -> Linear: ...

    def load_input(self, b: VectorBuilder, row: ir.Value, column: int) -> ir.Value:
        """The pixel in a column of the row at this address."""

    def store_transformed(self, b: VectorBuilder, value: ir.Value, address: ir.Value) -> None: ...

    def load_sums(self, b: VectorBuilder, address: ir.Value) -> ir.Value: ...

    def epilogue(
        self, b: VectorBuilder, a: Mapping[str, ir.Value], scale: int, activation: str, residual: bool
    ) -> StoreRow:
        """For sums that are ``scale`` times too large; ``a`` as in ``OUTPUT_ARGS`` of ``winograd_transform``."""


def _each_valid(
    b: VectorBuilder,
    a: Mapping[str, ir.Value],
    totals: Sequence[ir.Value],
    store: Callable[[ir.Value, ir.Value], None],
) -> None:
    """``store`` the valid pixels of a row, with their distances from the first."""
    for column, total in enumerate(totals):
        with b.when(b.ir.icmp_signed("<", b.index(column), a["columns_valid"])):
            store(total, b.ir.mul(a["y_pixel"], b.index(column)))


class FloatWinograd:
    """``monic``: for filters of ``monic_matrices``."""

    factors = "f32"

    def __init__(self, monic: bool = False) -> None:
        self.monic = monic

    def matrices(self, m: int, r: int) -> Matrices:
        return monic_matrices(m, r) if self.monic else matrices(m, r)

    def pixel_bytes(self, b: VectorBuilder) -> int:
        return b.target.vector_bytes

    def inputs(self, b: VectorBuilder) -> Linear:
        return b

    def sums(self, b: VectorBuilder) -> Linear:
        return b

    def load_input(self, b: VectorBuilder, row: ir.Value, column: int) -> ir.Value:
        return b.load(row, column * b.target.vector_bytes)

    def store_transformed(self, b: VectorBuilder, value: ir.Value, address: ir.Value) -> None:
        b.store(value, address, aligned=True)

    def load_sums(self, b: VectorBuilder, address: ir.Value) -> ir.Value:
        return b.load(address, aligned=True)

    def epilogue(
        self, b: VectorBuilder, a: Mapping[str, ir.Value], scale: int, activation: str, residual: bool
    ) -> StoreRow:
        bias = b.load(a["bias"])
        slope = b.load(a["slopes"]) if activation == "prelu" else None
        epilogue = Activation(activation, b.float_bits(a["alpha"]), b.float_bits(a["beta"]), slope)
        other = a["residual"] if residual else None

        def store_row(totals: Sequence[ir.Value], offset: ir.Value) -> None:
            def store(total: ir.Value, place: ir.Value) -> None:
                emit_output(b, epilogue, b.add(total, bias), a["y"], other, b.ir.add(offset, place))

            _each_valid(b, a, totals, store)

        return store_row


class ByteWinograd:
    """uint8, or int8 counted from -128 (``signed``)."""

    factors = "i16"

    def __init__(self, signed: bool) -> None:
        self.signed = signed

    def matrices(self, m: int, r: int) -> Matrices:
        return integer_matrices(m, r)

    def pixel_bytes(self, b: VectorBuilder) -> int:
        return 2 * b.lanes

    def inputs(self, b: VectorBuilder) -> Linear:
        return Integers(b, 16)

    def sums(self, b: VectorBuilder) -> Linear:
        return Integers(b, 32)

    def load_input(self, b: VectorBuilder, row: ir.Value, column: int) -> ir.Value:
        stored = b.ir.load(b.pointer(row, b.bytes, column * b.lanes), align=1)
        if self.signed:
            stored = b.ir.xor(stored, ir.Constant(b.bytes, [-128] * b.lanes))
        return b.ir.zext(stored, Integers(b, 16).kind)

    def store_transformed(self, b: VectorBuilder, value: ir.Value, address: ir.Value) -> None:
        b.ir.store(value, b.pointer(address, value.type), align=2 * b.lanes)

    def load_sums(self, b: VectorBuilder, address: ir.Value) -> ir.Value:
        return b.load_integers(address)

    def epilogue(
        self, b: VectorBuilder, a: Mapping[str, ir.Value], scale: int, activation: str, residual: bool
    ) -> StoreRow:
        assert activation == "requantize" and not residual, "bytes are requantized"
        inverse, shift = inverse_and_shift(scale)
        bias = b.shift_left(b.load_integers(a["bias"]), shift)
        output = ByteOutput(b, b.load(a["slopes"]), Requantization(b, a["alpha"], a["beta"]))
        adjacent = b.ir.icmp_signed("==", a["y_pixel"], b.index(b.lanes))

        def unscaled(total: ir.Value) -> ir.Value:
            return b.shift_right(b.int_add(b.ir.mul(total, b.int_const(inverse)), bias), shift)

        def store_row(totals: Sequence[ir.Value], offset: ir.Value) -> None:
            whole = b.ir.icmp_signed("<=", b.index(len(totals)), a["columns_valid"])
            with b.choose(b.ir.and_(whole, adjacent)) as (together, apart):
                with together:
                    output.store_pixels([unscaled(total) for total in totals], a["y"], offset)
                with apart:
                    store = lambda total, place: output.store(unscaled(total), a["y"], b.ir.add(offset, place))  # noqa: E731
                    _each_valid(b, a, totals, store)

        return store_row


def winograd_arithmetic(element: str, monic: bool = False) -> WinogradArithmetic:
    """For inputs of ``element``: f32, u8 or i8."""
    return FloatWinograd(monic) if element == "f32" else ByteWinograd(element == "i8")
