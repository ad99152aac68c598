"""Makes functions for Numba CUDA code out of code that emits LLVM IR, and unrolls loops over tiles.

Addresses are int64 everywhere. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.typing import signature
from numba.cuda import types
from numba.cuda.extending import intrinsic

I1, I16, I32, I64 = ir.IntType(1), ir.IntType(16), ir.IntType(32), ir.IntType(64)
F32 = ir.FloatType()

Emit = Callable[..., Any]

INT, FLOAT, BOOL = types.int64, types.float32, types.boolean
QUAD = types.UniTuple(types.float32, 4)
"""Four float32 that lie together in memory: what one access of 16 bytes moves."""


def device_function(result: Any, parameters: Sequence[Any], emit: Emit) -> Any:
    """A function for Numba CUDA code; ``emit(builder, *values)`` gives its LLVM value, or None for ``types.void``."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        value = emit(builder, *values)
        return context.get_dummy_value() if value is None else value

    return _of_types(result, parameters, generate)


def inlined(result: Any, parameters: Sequence[Any], body: Callable[..., Any]) -> Any:
    """A function for Numba CUDA code that is itself such code: ``body`` with types.

    ``cuda.jit(device=True)`` would ask the driver which device to compile for; there may be none.
    """

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return context.compile_internal(builder, body, sig, values)

    return _of_types(result, parameters, generate)


def generated(result: Any, parameters: Sequence[Any], emit: Emit) -> Any:
    """A function for Numba CUDA code whose LLVM value ``emit(inline, builder, *values)`` gives; None for types.void.

    ``inline(body, result, parameters, values)`` is the value of ``body``, Numba CUDA code, for LLVM values.
    """

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        def inline(body: Callable[..., Any], kind: Any, kinds: Sequence[Any], operands: Sequence[Any]) -> Any:
            return context.compile_internal(builder, body, signature(kind, *kinds), list(operands))

        value = emit(inline, builder, *values)
        return context.get_dummy_value() if value is None else value

    return _of_types(result, parameters, generate)


def _of_types(result: Any, parameters: Sequence[Any], generate: Any) -> Any:
    expected = signature(result, *parameters)

    # Numba looks at the parameters of the typing function, so there is one per arity.
    def typing0(typing: Any) -> Any:
        return expected, generate

    def typing1(typing: Any, a: Any) -> Any:
        return expected, generate

    def typing2(typing: Any, a: Any, b: Any) -> Any:
        return expected, generate

    def typing3(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return expected, generate

    def typing4(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        return expected, generate

    def typing5(typing: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return expected, generate

    def typing6(typing: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
        return expected, generate

    typings = (typing0, typing1, typing2, typing3, typing4, typing5, typing6)
    return intrinsic(typings[len(parameters)])


def unrolled(count: int, body: Callable[..., Any]) -> Any:
    """A loop ``for index in range(count): state = body(state, index, facts)`` without a loop: ``loop(state, facts)``.

    ``body`` is a function for Numba CUDA code, which gives a state of the type that it takes; ``index`` is a constant
    in each copy, so that elements of tuples are registers.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def loop(typing: Any, state: Any, facts: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            current, known = values
            step = signature(sig.return_type, sig.args[0], types.int64, sig.args[1])
            for index in range(count):
                current = context.compile_internal(builder, body, step, [current, ir.Constant(I64, index), known])
            return current

        return signature(state, state, facts), generate

    return loop


def each_part(count: int, body: Callable[..., Any]) -> Any:
    """Unrolled loop over parts of a tuple of registers: ``loop(values, state, facts)`` changes every part.

    ``body(part, number, state, facts)`` is a function for Numba CUDA code that gives a part, one of ``count`` runs of
    neighbouring values, and the state for the next one; ``number`` is a constant in each copy.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def loop(typing: Any, values: Any, state: Any, facts: Any) -> Any:
        size = len(values) // count
        kind = types.UniTuple(values.dtype, size)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            registers, current, known = cgutils.unpack_tuple(builder, arguments[0]), arguments[1], arguments[2]
            step = signature(types.Tuple([kind, state]), kind, types.int64, state, facts)
            changed = []
            for number in range(count):
                part = cgutils.pack_array(builder, registers[number * size : (number + 1) * size])
                call = [part, ir.Constant(I64, number), current, known]
                result = context.compile_internal(builder, body, step, call)
                changed += cgutils.unpack_tuple(builder, builder.extract_value(result, 0))
                current = builder.extract_value(result, 1)
            return cgutils.pack_array(builder, changed)

        return signature(values, values, state, facts), generate

    return loop


def for_each_quad(rows: int, columns: int, body: Callable[..., Any]) -> Any:
    """Unrolled loop over a register tile: ``loop(tile, facts)`` calls ``body(quad, row, column, facts)``.

    ``tile`` is a tuple of ``rows`` x ``columns`` float32, row by row; ``quad`` are the elements of four neighbouring
    rows, from ``row`` on, in one column. ``row`` and ``column`` are constants in each copy of the body.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def loop(typing: Any, tile: Any, facts: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            registers = cgutils.unpack_tuple(builder, values[0])
            step = signature(types.void, QUAD, types.int64, types.int64, sig.args[1])
            for column in range(columns):
                for row in range(0, rows, 4):
                    quad = cgutils.pack_array(builder, [registers[(row + i) * columns + column] for i in range(4)])
                    place = [ir.Constant(I64, row), ir.Constant(I64, column)]
                    context.compile_internal(builder, body, step, [quad, *place, values[1]])
            return context.get_dummy_value()

        return signature(types.void, tile, facts), generate

    return loop


def map_quads(count: int, body: Callable[..., Any]) -> Any:
    """``loop(values, facts)``: ``body(quad, index, facts)`` in place of each of ``count`` quads of a tuple.

    ``index`` is a constant in each copy of the body.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def loop(typing: Any, values: Any, facts: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, operands: Any) -> Any:
            elements, found = cgutils.unpack_tuple(builder, operands[0]), []
            step = signature(QUAD, QUAD, types.int64, sig.args[1])
            for index in range(count):
                quad = cgutils.pack_array(builder, elements[4 * index : 4 * index + 4])
                place = ir.Constant(I64, index)
                changed = context.compile_internal(builder, body, step, [quad, place, operands[1]])
                found += cgutils.unpack_tuple(builder, changed)
            return cgutils.pack_array(builder, found)

        return signature(values, values, facts), generate

    return loop


def assembly(
    builder: Any, result: Any, text: str, constraints: str, values: Sequence[Any], *, has_effect: bool = False
) -> Any:
    """One line of PTX. With ``has_effect`` it keeps its place among others that have one, and among barriers."""
    function = ir.FunctionType(result, [value.type for value in values])
    return builder.call(ir.InlineAsm(function, text, constraints, side_effect=has_effect), list(values))
