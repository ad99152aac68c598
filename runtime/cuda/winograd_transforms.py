"""Emits Winograd's transforms of one tile for Numba CUDA code, unrolled, in registers. Imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cpu.winograd_matrices import matrices
from cnnc.runtime.cpu.winograd_transform import emit_combination, emit_product
from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I1, I64, INT, device_function
from cnnc.runtime.cuda.memory_access import emit_load_pair_if, emit_load_quad, emit_store_if
from cnnc.runtime.cuda.winograd_shape import WinogradShape

INPUT_FACTS = (
    *("x", "x_row", "x_column"),
    *("row", "row_step", "height", "column", "column_step", "width"),
    *("v0", "v1", "is_stored0", "is_stored1", "v_position"),
)
"""What the transform of inputs is told: address of the tile's first pixel, bytes to the next row and column; where it
lies in the map, in rows and columns, and the map's sizes; addresses of the results of both channels at the first
position, whether they are wanted, bytes to the next position."""


class Floats:
    """The numbers that a transform computes with (``cnnc.runtime.cpu.winograd_arithmetic.Linear``): float32."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self._fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32")

    def const(self, value: float) -> Any:
        return ir.Constant(F32, value)

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self._fma, [a, b, c])


def input_transform(shape: WinogradShape) -> Any:
    """``transform(facts)``: loads the tile of two neighbouring channels, zeros beyond the map, and stores V = B^T d B.

    ``facts`` are ints, as ``INPUT_FACTS`` names them.
    """
    vertical = matrices(shape.rows, shape.window_rows).inputs
    horizontal = matrices(shape.columns, shape.window_columns).inputs

    def emit(builder: Any, facts: Any) -> None:
        told = dict(zip(INPUT_FACTS, cgutils.unpack_tuple(builder, facts), strict=True))

        def along(first: str, step: str, number: int) -> Any:
            return builder.add(told[first], builder.mul(told[step], ir.Constant(I64, number)))

        row_exists = [
            builder.icmp_unsigned("<", along("row", "row_step", row), told["height"]) for row in range(shape.input_rows)
        ]
        pixels: list[list[Any]] = []
        for column in range(shape.input_columns):
            exists = builder.icmp_unsigned("<", along("column", "column_step", column), told["width"])
            at = along("x", "x_column", column)
            pixels.append([])
            for row in range(shape.input_rows):
                if row:
                    at = builder.add(at, told["x_row"])
                pixels[-1].append(emit_load_pair_if(builder, at, builder.and_(exists, row_exists[row])))
        numbers = Floats(builder)
        for channel in range(2):
            columns = [
                emit_product(numbers, vertical, [builder.extract_value(pair, channel) for pair in column])
                for column in pixels
            ]
            at, is_stored = told[f"v{channel}"], builder.trunc(told[f"is_stored{channel}"], I1)
            for row in range(shape.input_rows):
                for value in emit_product(numbers, horizontal, [column[row] for column in columns]):
                    emit_store_if(builder, at, value, is_stored)
                    at = builder.add(at, told["v_position"])

    return device_function(types.void, [types.UniTuple(INT, len(INPUT_FACTS))], emit)


def output_transform(shape: WinogradShape) -> Any:
    """``transform(m, m_position)``: A^T M A for four neighbouring channels, as a tuple [channel][row][column].

    ``m``: address of the tile's quad at the first position; ``m_position``: bytes to the next one.
    """
    vertical = matrices(shape.rows, shape.window_rows).outputs
    horizontal = matrices(shape.columns, shape.window_columns).outputs

    def emit(builder: Any, m: Any, m_position: Any) -> Any:
        numbers = Floats(builder)
        # Column by column, so that few of the tile's values are in registers at a time.
        results: dict[tuple[int, int, int], Any] = {}
        for column in range(shape.input_columns):
            places = [ir.Constant(I64, row * shape.input_columns + column) for row in range(shape.input_rows)]
            quads = [emit_load_quad(builder, builder.add(m, builder.mul(m_position, place))) for place in places]
            for channel in range(4):
                values = emit_product(numbers, vertical, [builder.extract_value(quad, channel) for quad in quads])
                for row, value in enumerate(values):
                    for result in np.flatnonzero(horizontal[:, column]):
                        factor, place = float(horizontal[result, column]), (channel, row, int(result))
                        so_far = results.get(place)
                        scaled = emit_combination(numbers, np.array([factor]), [value]) if so_far is None else None
                        results[place] = scaled or numbers.fma(value, numbers.const(factor), so_far)
        return cgutils.pack_array(builder, [results[place] for place in sorted(results)])

    return device_function(types.UniTuple(FLOAT, 4 * shape.rows * shape.columns), [INT, INT], emit)
