"""LLVM vector code from Python: a builder for values of one register width, and intrinsics that Numba functions call.

A kernel's loops are Numba Python over integers; what happens in registers is *emitted* by functions that take a
``VectorBuilder``. ``intrinsic`` turns such a function into something a Numba function can call:

    scale = intrinsic(target, lambda b, dst, src: b.store(b.mul(b.load(src), b.const(2.0)), dst), 2)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.extending import intrinsic as numba_intrinsic

from cnnc.runtime.jit.target import has_fma
from cnnc.runtime.kernel import Target

I1, I8, I32, I64, F32, F64 = (
    ir.IntType(1),
    ir.IntType(8),
    ir.IntType(32),
    ir.IntType(64),
    ir.FloatType(),
    ir.DoubleType(),
)


class VectorBuilder:
    """Emits operations on float32 vectors of ``lanes`` lanes, and on 64-bit addresses and counts.

    Addresses are integers; offsets are in bytes. Vectors are ``ir.Value`` of type ``vector``, comparisons
    give ``mask``.
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

    def halved(self) -> VectorBuilder:
        """A builder of vectors of half as many lanes, at the same place."""
        return VectorBuilder(self.ir, replace(self.target, vector_bytes=self.target.vector_bytes // 2))

    # Constants

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

    # Memory

    def pointer(self, address: ir.Value, kind: ir.Type, offset: int | ir.Value = 0) -> ir.Value:
        """A pointer to ``kind`` at integer ``address`` + ``offset`` bytes."""
        base = self.ir.inttoptr(address, ir.PointerType(I8))
        if isinstance(offset, int):
            offset = self.index(offset)
        place = self.ir.gep(base, [offset], source_etype=I8)
        return self.ir.bitcast(place, ir.PointerType(kind))

    def load(self, address: ir.Value, offset: int | ir.Value = 0, aligned: bool = False) -> ir.Value:
        """A vector of floats."""
        align = self.target.vector_bytes if aligned else 4
        return self.ir.load(self.pointer(address, self.vector, offset), align=align)

    def store(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0, aligned: bool = False) -> None:
        align = self.target.vector_bytes if aligned else 4
        self.ir.store(value, self.pointer(address, value.type, offset), align=align)

    def load_masked(self, address: ir.Value, mask: ir.Value, offset: int | ir.Value = 0, size: int = 4) -> ir.Value:
        """A vector of floats, or of single bytes with ``size`` 1, with zeros where the mask is false.

        Those lanes' memory is not touched.
        """
        vector, name = (self.vector, "f32") if size == 4 else (self.bytes, "i8")
        pointer = self.pointer(address, vector, offset)
        kind = ir.FunctionType(vector, [ir.PointerType(vector), I32, self.mask, vector])
        function = self.declare(f"llvm.masked.load.v{self.lanes}{name}.p0", kind)
        return self.ir.call(function, [pointer, ir.Constant(I32, size), mask, ir.Constant(vector, None)])

    def store_masked(self, value: ir.Value, address: ir.Value, mask: ir.Value, offset: int | ir.Value = 0) -> None:
        """Stores the lanes where the mask is true, floats or bytes; the other lanes' memory is not touched."""
        size, name = (4, "f32") if value.type == self.vector else (1, "i8")
        pointer = self.pointer(address, value.type, offset)
        kind = ir.FunctionType(ir.VoidType(), [value.type, ir.PointerType(value.type), I32, self.mask])
        function = self.declare(f"llvm.masked.store.v{self.lanes}{name}.p0", kind)
        self.ir.call(function, [value, pointer, ir.Constant(I32, size), mask])

    def load_scalar(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        return self.ir.load(self.pointer(address, F32, offset), align=4)

    def store_scalar(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0) -> None:
        self.ir.store(value, self.pointer(address, F32, offset), align=4)

    def load_integers(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """A vector of 32-bit integers."""
        return self.ir.load(self.pointer(address, self.integers, offset), align=4)

    def load_word(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """A 32-bit integer at any address."""
        return self.ir.load(self.pointer(address, I32, offset), align=1)

    def store_word(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0) -> None:
        """A 32-bit integer at any address."""
        self.ir.store(value, self.pointer(address, I32, offset), align=1)

    def load_bytes(
        self, address: ir.Value, signed: bool, offset: int | ir.Value = 0, mask: ir.Value | None = None
    ) -> ir.Value:
        """As many bytes as there are lanes, each widened to a 32-bit integer; ``mask`` as in ``load_masked``."""
        if mask is None:
            stored = self.ir.load(self.pointer(address, self.bytes, offset), align=1)
        else:
            stored = self.load_masked(address, mask, offset, size=1)
        return self.ir.sext(stored, self.integers) if signed else self.ir.zext(stored, self.integers)

    def store_bytes(
        self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0, mask: ir.Value | None = None
    ) -> None:
        """The low byte of every 32-bit lane; ``mask`` as in ``store_masked``."""
        low = self.ir.trunc(value, self.bytes)
        if mask is not None:
            self.store_masked(low, address, mask, offset)
        else:
            self.ir.store(low, self.pointer(address, self.bytes, offset), align=1)

    def load_index(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """A 64-bit integer."""
        return self.ir.load(self.pointer(address, I64, offset), align=8)

    def store_index(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0) -> None:
        self.ir.store(value, self.pointer(address, I64, offset), align=8)

    def broadcast(self, address: ir.Value, offset: int | ir.Value = 0) -> ir.Value:
        """One float of memory in every lane."""
        return self.splat(self.load_scalar(address, offset))

    def splat(self, scalar: ir.Value) -> ir.Value:
        """A scalar (float, float64 or 32-bit integer) in every lane."""
        kind = {F32: self.vector, F64: self.wide}.get(scalar.type, self.integers)
        single = self.ir.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        lanes = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.ir.shuffle_vector(single, ir.Constant(kind, ir.Undefined), lanes)

    def splat_mask(self, bit: ir.Value) -> ir.Value:
        """A single bit in every lane of a mask."""
        return self.ir.icmp_signed("!=", self.splat(self.ir.zext(bit, I32)), self.int_const(0))

    def float_bits(self, bits: ir.Value) -> ir.Value:
        """The float whose bits are the low half of a 64-bit integer, in every lane: run-time parameters come so."""
        return self.splat(self.ir.bitcast(self.ir.trunc(bits, I32), F32))

    def clobber_memory(self) -> None:
        """An empty inline assembly that LLVM moves no load across: keeps broadcasts folded into their multiply-adds."""
        self.ir.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)

    def prefetch(self, address: ir.Value, offset: int = 0, near: bool = True, writes: bool = False) -> None:
        """Ask for the cache line at ``address`` + ``offset`` to be on its way; it may lie outside of all memory.

        It goes to the first-level cache if ``near``, else to the second. ``writes``: no other core keeps a copy.
        """
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(I8), I32, I32, I32])
        function = self.declare("llvm.prefetch.p0", kind)
        read, keep, data = (ir.Constant(I32, value) for value in (int(writes), 3 if near else 2, 1))
        self.ir.call(function, [self.pointer(address, I8, offset), read, keep, data])

    # Float64, in two registers a vector

    def wide_zero(self) -> ir.Value:
        return ir.Constant(self.wide, [0.0] * self.lanes)

    def widen(self, a: ir.Value) -> ir.Value:
        """A vector of floats, or one float, as float64."""
        return self.ir.fpext(a, self.wide if a.type == self.vector else F64)

    def narrow(self, a: ir.Value) -> ir.Value:
        """A wide vector rounded to float32."""
        return self.ir.fptrunc(a, self.vector)

    # Arithmetic

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

    def polynomial(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """Horner's rule; the coefficient of the highest power comes first."""
        total = self.const(coefficients[0])
        for coefficient in coefficients[1:]:
            total = self.fma(total, x, self.const(coefficient))
        return total

    def clamp(self, a: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
        return self.at_most(self.at_least(a, low), high)

    def compare(self, operator: str, a: ir.Value, b: ir.Value) -> ir.Value:
        """Ordered comparison (false for NaN), except ``!=``, which is true for NaN."""
        compare = self.ir.fcmp_unordered if operator == "!=" else self.ir.fcmp_ordered
        return compare(operator, a, b)

    def is_nan(self, a: ir.Value) -> ir.Value:
        return self.ir.fcmp_unordered("uno", a, a)

    def select(self, mask: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.ir.select(mask, a, b)

    def permute(self, a: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """Lane l of the result is lane ``lanes[l]`` of ``a``."""
        numbers = ir.Constant(self.integers, list(lanes))
        return self.ir.shuffle_vector(a, ir.Constant(self.vector, ir.Undefined), numbers)

    # Bits

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

    def tail_mask(self, count: ir.Value) -> ir.Value:
        """True in lanes below the 64-bit ``count``; none for negative counts."""
        numbers = ir.Constant(self.integers, list(range(self.lanes)))
        clamped = self.ir.select(self.ir.icmp_signed(">", count, self.index(self.lanes)), self.index(self.lanes), count)
        return self.ir.icmp_signed("<", numbers, self.splat(self.ir.trunc(clamped, I32)))

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

    # Control

    def variable(self, initial: ir.Value) -> ir.Value:
        """A stack slot that LLVM turns into a register; read with ``get``, written with ``set``."""
        slot = cgutils.alloca_once(self.ir, initial.type)
        self.ir.store(initial, slot)
        return slot

    def get(self, slot: ir.Value) -> ir.Value:
        return self.ir.load(slot)

    def set(self, slot: ir.Value, value: ir.Value) -> None:
        self.ir.store(value, slot)

    def stack_vectors(self, count: int) -> ir.Value:
        """The address of room for ``count`` vectors on the stack, aligned, undefined; LLVM keeps it in memory."""
        slots = cgutils.alloca_once(self.ir, self.vector, size=count)
        slots.align = self.target.vector_bytes
        address = self.ir.ptrtoint(slots, I64)
        return self.ir.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [address], side_effect=False)

    @contextmanager
    def loop(self, count: ir.Value) -> Iterator[ir.Value]:
        """``for i in range(count)``; gives i as a 64-bit integer."""
        with cgutils.for_range(self.ir, count, intp=I64) as loop:
            yield loop.index

    @contextmanager
    def when(self, condition: ir.Value) -> Iterator[None]:
        """``if condition:`` for a single bit."""
        with self.ir.if_then(condition):
            yield

    @contextmanager
    def choose(self, condition: ir.Value) -> Iterator[tuple[Any, Any]]:
        """``if condition: ... else: ...``: gives the contexts of both branches."""
        with self.ir.if_else(condition) as branches:
            yield branches

    @contextmanager
    def switch(self, number: ir.Value, count: int) -> Iterator[Sequence[Any]]:
        """``match number:`` for numbers below ``count``, which it must be: gives the contexts of the cases."""
        after = self.ir.append_basic_block("after")
        blocks = [self.ir.append_basic_block("case") for _ in range(count)]
        switch = self.ir.switch(number, blocks[-1])
        for value, block in enumerate(blocks[:-1]):
            switch.add_case(self.index(value), block)
        yield [self._case(block, after) for block in blocks]
        self.ir.position_at_end(after)

    @contextmanager
    def _case(self, block: ir.Block, after: ir.Block) -> Iterator[None]:
        self.ir.position_at_end(block)
        yield
        self.ir.branch(after)

    def _unary_family(self, name: str, *operands: ir.Value) -> ir.Value:
        kind = operands[0].type
        suffix = {self.vector: f"v{self.lanes}f32", self.wide: f"v{self.lanes}f64"}.get(kind, "f32")
        function = self.declare(f"llvm.{name}.{suffix}", ir.FunctionType(kind, [kind] * len(operands)))
        return self.ir.call(function, operands)

    def declare(self, name: str, kind: ir.FunctionType) -> ir.Function:
        """A function of that name in the module, such as an LLVM intrinsic."""
        return cgutils.get_or_insert_function(self.ir.module, kind, name)


@dataclass(slots=True)
class Emitted:
    """What an intrinsic emits. With a ``symbol`` its code is a function of that name, which the JIT adds to the module;
    otherwise it is written where the intrinsic is called."""

    target: Target
    emit: Callable[..., Any]
    arity: int
    returns: bool
    symbol: str = ""

    @property
    def kind(self) -> ir.FunctionType:
        return ir.FunctionType(I64 if self.returns else ir.VoidType(), [I64] * self.arity)

    def define(self, module: ir.Module) -> None:
        """Add the function to ``module``, to be inlined."""
        function = ir.Function(module, self.kind, self.symbol)
        function.attributes.add("alwaysinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        value = self.emit(VectorBuilder(builder, self.target), *function.args)
        if self.returns:
            builder.ret(value)
        else:
            builder.ret_void()


def intrinsic(target: Target, emit: Callable[..., Any], arity: int, returns: bool = False) -> Any:
    """A function of ``arity`` 64-bit integers that a Numba function may call; ``emit(b, *values)`` writes its code.

    With ``returns`` the value that ``emit`` gives, a 64-bit integer, is the result; otherwise there is none.
    """
    emitted = Emitted(target, emit, arity, returns)
    wanted = signature(types.int64 if returns else types.void, *[types.int64] * arity)

    def codegen(context: Any, builder: ir.IRBuilder, _: Any, operands: Any) -> Any:
        if emitted.symbol:
            function = cgutils.get_or_insert_function(builder.module, emitted.kind, emitted.symbol)
            value = builder.call(function, operands)
        else:
            value = emit(VectorBuilder(builder, target), *operands)
        return value if returns else context.get_dummy_value()

    def typing(context: Any, *arguments: Any) -> Any:
        return wanted, codegen

    # Numba counts an intrinsic's named parameters.
    names = ["context", *(f"argument{position}" for position in range(arity))]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    typing.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callee = numba_intrinsic(typing)
    callee.emitted = emitted
    return callee


def constant(target: Target, value: int) -> Any:
    """A function without arguments that a Numba function calls for ``value``.

    Unlike an integer in the closure it lets variants of a kernel share their Numba compilation; LLVM folds it the same.
    """
    return intrinsic(target, lambda b: b.index(value), 0, returns=True)
