"""What a thread of ``gemm.f32.few_rows`` does with a quad along K: loads, and multiply-adds into its registers.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I64, INT, device_function
from cnnc.runtime.cuda.memory_access import emit_load_if, emit_load_quad

_FACTS = types.UniTuple(INT, 3)


def few_rows_tile(rows: int, columns: int, quads: bool) -> tuple[Any, Any]:
    """(zero, multiply) for Numba CUDA code.

    ``zero()`` is a tuple of rows x columns sums. ``multiply(sums, weights, a, strides, last)`` adds the products of
    four neighbours along K: ``weights`` and ``a`` are addresses in the first column and row, ``strides`` bytes from a
    column of weights to the next, from a row of A to the next, and along a row of A; ``last`` the last column and row
    that are there, and elements of K from here on, at least 1. Columns and rows behind the last count as the last.
    With ``quads`` the elements of a row are four, and a multiple of 16 bytes.
    """
    kind = types.UniTuple(FLOAT, rows * columns)

    def zero(builder: Any) -> Any:
        size = rows * columns
        return ir.Constant(ir.ArrayType(F32, size), [0.0] * size)

    def clamped(builder: Any, index: int, last: Any) -> Any:
        number = ir.Constant(I64, index)
        return builder.select(builder.icmp_signed("<", number, last), number, last)

    def loaded_row(builder: Any, address: Any, stride: Any, left: Any) -> list[Any]:
        if quads:
            return list(cgutils.unpack_tuple(builder, emit_load_quad(builder, address)))
        found = []
        for index in range(4):
            place = builder.add(address, builder.mul(stride, ir.Constant(I64, index)))
            found.append(emit_load_if(builder, place, builder.icmp_signed(">", left, ir.Constant(I64, index))))
        return found

    def multiply(builder: Any, sums: Any, weights: Any, a: Any, strides: Any, last: Any) -> Any:
        registers = cgutils.unpack_tuple(builder, sums)
        column_bytes, row_bytes, element_bytes = cgutils.unpack_tuple(builder, strides)
        last_row, last_column, left = cgutils.unpack_tuple(builder, last)
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32")
        right = []
        for column in range(columns):
            offset = builder.mul(column_bytes, clamped(builder, column, last_column))
            right.append(cgutils.unpack_tuple(builder, emit_load_quad(builder, builder.add(weights, offset))))
        for row in range(rows):
            offset = builder.mul(row_bytes, clamped(builder, row, last_row))
            values = loaded_row(builder, builder.add(a, offset), element_bytes, left)
            for column in range(columns):
                place = row * columns + column
                for index in range(4):
                    registers[place] = builder.call(fma, [values[index], right[column][index], registers[place]])
        return cgutils.pack_array(builder, registers)

    return device_function(kind, [], zero), device_function(kind, [kind, INT, INT, _FACTS, _FACTS], multiply)
