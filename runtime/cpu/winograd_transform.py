"""Emits Winograd's transforms of one tile: vectors over the channels of a block, matrices known at compile time.

Zero entries cost nothing. Where two rows, or two columns, of a matrix differ in signs only (the points +-a), their
common part is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from cnnc.runtime.cpu.vector import VectorBuilder
from cnnc.runtime.cpu.winograd_arithmetic import Linear, WinogradArithmetic
from cnnc.runtime.cpu.winograd_matrices import Matrices, Matrix


@dataclass(frozen=True, slots=True)
class TileShape:
    """F(rows x columns, window): outputs of a tile, and the window's height and width."""

    rows: int
    columns: int
    window: tuple[int, int]

    @property
    def input_rows(self) -> int:
        return self.rows + self.window[0] - 1

    @property
    def input_columns(self) -> int:
        return self.columns + self.window[1] - 1

    def matrices(self, arithmetic: WinogradArithmetic) -> tuple[Matrices, Matrices]:
        """For columns of pixels, and for rows."""
        return arithmetic.matrices(self.rows, self.window[0]), arithmetic.matrices(self.columns, self.window[1])


INPUT_ARGS = (
    "x",  # address of the tile's first input pixel; a whole tile lies there
    "x_row",  # bytes between input rows
    "v",  # address of the tile's vector at the first position
    "v_position",  # bytes between positions
)


def emit_input_transform(b: VectorBuilder, shape: TileShape, arithmetic: WinogradArithmetic, *values: ir.Value) -> None:
    """V = B^T d B of one tile d [rows][columns][lane]; position row * input_columns + column of V."""
    a = dict(zip(INPUT_ARGS, values))
    vertical, horizontal = shape.matrices(arithmetic)
    numbers = arithmetic.inputs(b)
    rows = [b.ir.add(a["x"], b.ir.mul(a["x_row"], b.index(row))) for row in range(shape.input_rows)]
    columns = []
    for column in range(shape.input_columns):
        loaded = [arithmetic.load_input(b, row, column) for row in rows]
        columns.append(emit_product(numbers, vertical.inputs, loaded))
    place = a["v"]
    for row in range(shape.input_rows):
        for value in emit_product(numbers, horizontal.inputs, [column[row] for column in columns]):
            arithmetic.store_transformed(b, value, place)
            place = b.ir.add(place, a["v_position"])


OUTPUT_ARGS = (
    "m",  # address of the tile's vector at the first position
    "m_position",  # bytes between positions
    "bias",  # address of the block's floats, or int32 for bytes
    "slopes",  # address of the block's floats: slopes of prelu, or what requantization multiplies by
    "residual",  # address that matches y
    "y",  # address of the tile's first output pixel
    "y_row",  # bytes between rows
    "y_pixel",  # bytes between columns
    "rows_valid",  # pixels to store
    "columns_valid",
    "alpha",  # activation parameters, float bits
    "beta",
)


def emit_output_transform(
    b: VectorBuilder,
    shape: TileShape,
    arithmetic: WinogradArithmetic,
    activation: str,
    residual: bool,
    *values: ir.Value,
) -> None:
    """A^T M A of one tile, then bias, residual, activation and store."""
    a = dict(zip(OUTPUT_ARGS, values))
    vertical, horizontal = shape.matrices(arithmetic)
    numbers = arithmetic.sums(b)
    place = a["m"]
    products: list[list[ir.Value]] = []
    for _ in range(shape.input_rows):
        products.append([])
        for _ in range(shape.input_columns):
            products[-1].append(arithmetic.load_sums(b, place))
            place = b.ir.add(place, a["m_position"])
    columns = [
        emit_product(numbers, vertical.outputs, [row[column] for row in products])
        for column in range(shape.input_columns)
    ]
    store_row = arithmetic.epilogue(b, a, vertical.scale * horizontal.scale, activation, residual)
    for row in range(shape.rows):
        sums = emit_product(numbers, horizontal.outputs, [column[row] for column in columns])
        with b.when(b.ir.icmp_signed("<", b.index(row), a["rows_valid"])):
            store_row(sums, b.ir.mul(a["y_row"], b.index(row)))


def emit_product(b: Linear, matrix: Matrix, values: Sequence[ir.Value]) -> list[ir.Value]:
    """``matrix`` times ``values``, by rows."""
    values = list(values)
    matrix = matrix.copy()
    for first, second in _mirrored(matrix.T):
        left, right = values[first], values[second]
        values[first], values[second] = b.add(left, right), b.sub(left, right)
        even = (matrix[:, first] + matrix[:, second]) / 2
        matrix[:, second] = (matrix[:, first] - matrix[:, second]) / 2
        matrix[:, first] = even
    results: dict[int, ir.Value] = {}
    for first, second in _mirrored(matrix):
        even, odd = (matrix[first] + matrix[second]) / 2, (matrix[first] - matrix[second]) / 2
        factor = odd[np.flatnonzero(odd)[-1]]
        same, opposite = emit_combination(b, even, values), emit_combination(b, odd / factor, values)
        results[first] = _add_scaled(b, same, factor, opposite)
        results[second] = _add_scaled(b, same, -factor, opposite)
    return [results[row] if row in results else emit_combination(b, matrix[row], values) for row in range(len(matrix))]


def _mirrored(rows: Matrix) -> list[tuple[int, int]]:
    """Pairs of rows that agree in some entries and have opposite signs in others."""
    pairs: list[tuple[int, int]] = []
    for first in range(len(rows)):
        for second in range(first + 1, len(rows)):
            taken = any(first in pair or second in pair for pair in pairs)
            total, difference = np.abs(rows[first] + rows[second]), np.abs(rows[first] - rows[second])
            apart = np.all(np.minimum(total, difference) < 1e-9)
            if not taken and apart and total.max() > 1e-9 and difference.max() > 1e-9:
                pairs.append((first, second))
    return pairs


def emit_combination(b: Linear, factors: Matrix, values: Sequence[ir.Value] | Mapping[int, ir.Value]) -> ir.Value:
    """The sum of factors times values; it starts with a factor of 1 if there is one. Factors of 0 need no value."""
    terms = [(float(factor), values[number]) for number, factor in enumerate(factors) if abs(factor) > 1e-12]
    terms.sort(key=lambda term: abs(term[0] - 1) > 1e-12)
    (factor, value), *rest = terms
    total = value if abs(factor - 1) < 1e-12 else b.mul(value, b.const(factor))
    for factor, value in rest:
        total = _add_scaled(b, total, factor, value)
    return total


def _add_scaled(b: Linear, total: ir.Value, factor: float, value: ir.Value) -> ir.Value:
    if abs(factor - 1) < 1e-12:
        return b.add(total, value)
    if abs(factor + 1) < 1e-12:
        return b.sub(total, value)
    return b.fma(value, b.const(factor), total)
