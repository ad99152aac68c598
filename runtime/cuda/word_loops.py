"""Loops over tiles of words that are unrolled with their indices as constants, and calls that take any types.

A tile is a tuple of int32. Imports numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.typing import signature
from numba.cuda import types
from numba.cuda.extending import intrinsic

from cnnc.runtime.cuda.byte_access import WORD, words_type
from cnnc.runtime.cuda.intrinsics import I64


def for_each_column(rows: int, columns: int, body: Callable[..., Any]) -> Any:
    """Unrolled loop over a tile: ``loop(tile, facts)`` calls ``body(sums, column, facts)`` for each pixel."""

    @intrinsic  # type: ignore[untyped-decorator]
    def loop(typing: Any, tile: Any, facts: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            registers = cgutils.unpack_tuple(builder, values[0])
            step = signature(types.void, types.UniTuple(WORD, rows), types.int64, sig.args[1])
            for column in range(columns):
                sums = cgutils.pack_array(builder, registers[column * rows : (column + 1) * rows])
                context.compile_internal(builder, body, step, [sums, ir.Constant(I64, column), values[1]])
            return context.get_dummy_value()

        return signature(types.void, tile, facts), generate

    return loop


def gathered(count: int, width: int, body: Callable[..., Any]) -> Any:
    """``gather(facts)``: the words that ``body(index, facts)``, a tuple of ``width``, gives for each index, one tuple.

    ``index`` is a constant in each copy of the body.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def gather(typing: Any, facts: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            step = signature(words_type(width), types.int64, sig.args[0])
            found: list[Any] = []
            for index in range(count):
                words = context.compile_internal(builder, body, step, [ir.Constant(I64, index), values[0]])
                found += cgutils.unpack_tuple(builder, words)
            return cgutils.pack_array(builder, found)

        return signature(types.UniTuple(WORD, count * width), facts), generate

    return gather


def inlined_as_called(body: Callable[..., Any], result: Any = None) -> Any:
    """``call(a, b)``: ``body``, Numba CUDA code, with the types of its call; it gives ``result``, or the type of a."""

    @intrinsic  # type: ignore[untyped-decorator]
    def call(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            return context.compile_internal(builder, body, sig, values)

        return signature(a if result is None else result, a, b), generate

    return call
