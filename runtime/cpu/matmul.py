"""matmul.f32: batched Y = act(scale * A @ B + bias) of two run-time matrices with any strides.

Two batch axes with strides of their own (0 where an operand is broadcast) cover every product that NumPy's matmul can
express after neighbouring axes are joined. A work item packs its columns of B into scratch, one tile at a time, times
``scale``; A is read in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.tile_table import CHAIN, has_wide_sums, product_table_bytes
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "matmul.f32"
BUFFERS = ("a", "b", "bias", "y")
SIZES = (
    *("B0", "B1", "M", "N", "K", "a_batch0", "a_batch1", "a_row", "a_column"),
    *("b_batch0", "b_batch1", "b_row", "b_column", "y_batch0", "y_batch1", "y_row"),
    *("m_tiles", "n_tiles", "scale", "alpha", "beta"),
)
"""Strides in elements; y's columns are adjacent. m_tiles, n_tiles: tiles of one work item. scale, alpha, beta: float
bits. bias holds N floats. Variant parameters: rows (of A of a tile), blocks, activation, lanes; bias (0: the
slot is unused)."""


def _width(params: Params) -> int:
    return int(params["lanes"]) * int(params["blocks"])


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    n_groups = ceil_div(ceil_div(s["N"], _width(params)), s["n_tiles"])
    return s["B0"] * s["B1"] * ceil_div(s["M"], s["m_tiles"] * int(params["rows"])) * n_groups


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    return product_table_bytes(s["K"]) + (1 + s["K"]) * (_width(params) * 4)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    if not s["B0"] * s["B1"] * s["M"] * s["N"]:
        return ()

    def extent(operand: str, rows: str, columns: str, column_stride: int) -> int:
        floats = (s["B0"] - 1) * s[f"{operand}_batch0"] + (s["B1"] - 1) * s[f"{operand}_batch1"]
        floats += (s[rows] - 1) * s[f"{operand}_row"] + (s[columns] - 1) * column_stride + 1
        return floats * 4 if s[rows] * s[columns] else 0

    accesses = [
        Access("a", 0, extent("a", "M", "K", s["a_column"]), False),
        Access("b", 0, extent("b", "K", "N", s["b_column"]), False),
        Access("y", 0, extent("y", "M", "N", 1), True),
    ]
    if params["bias"]:
        accesses.append(Access("bias", 0, s["N"] * 4, False))
    return tuple(accesses)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.tile import TILE_ARGS, Tile, emit_tile, product_table
    from cnnc.runtime.cpu.vector import constant, intrinsic

    rows, blocks = int(params["rows"]), int(params["blocks"])
    tile_rows, tile_blocks = constant(target, rows), constant(target, blocks)
    vector_lanes, has_bias = constant(target, target.lanes), constant(target, int(params["bias"]))
    tile = Tile(
        rows,
        1,
        blocks,
        4,
        str(params["activation"]),
        residual=False,
        masked=True,
        clamped=True,
        wide=has_wide_sums(params),
    )
    run_tile = intrinsic(target, lambda b, *values: emit_tile(b, tile, *values), len(TILE_ARGS))
    memory = memory_ops(target)
    pack_panel, zero_vectors = memory.pack_panel, memory.zero_vectors
    list_products, chain = product_table(target), constant(target, CHAIN)

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        ROWS, BLOCKS = tile_rows(), tile_blocks()
        WIDTH = BLOCKS * vector_lanes()
        a, b, bias, y = args[0], args[1], args[2], args[3]
        B1, M, N, K = args[5], args[6], args[7], args[8]
        a_batch0, a_batch1, a_row, a_column = args[9], args[10], args[11], args[12]
        b_batch0, b_batch1, b_row, b_column = args[13], args[14], args[15], args[16]
        y_batch0, y_batch1, y_row = args[17], args[18], args[19]
        m_tiles, n_tiles, scale, alpha, beta = args[20], args[21], args[22], args[23], args[24]

        table = scratch
        no_bias = scratch + ((K + chain() - 1) // chain() * 24 + 63) // 64 * 64
        b_panel = no_bias + WIDTH * 4
        zero_vectors(no_bias, BLOCKS)
        entries = list_products(table, K, a_column * 4, WIDTH * 4)
        all_n_tiles = (N + WIDTH - 1) // WIDTH
        n_groups = (all_n_tiles + n_tiles - 1) // n_tiles
        m_groups = (M + m_tiles * ROWS - 1) // (m_tiles * ROWS)
        for item in range(begin, end):
            rest = item // n_groups
            n_begin = (item - rest * n_groups) * n_tiles
            n_end = min(n_begin + n_tiles, all_n_tiles)
            batch = rest // m_groups
            m_begin = (rest - batch * m_groups) * m_tiles * ROWS
            m_end = min(m_begin + m_tiles * ROWS, M)
            batch0 = batch // B1
            batch1 = batch - batch0 * B1
            item_a = a + (batch0 * a_batch0 + batch1 * a_batch1) * 4
            item_b = b + (batch0 * b_batch0 + batch1 * b_batch1) * 4
            item_y = y + (batch0 * y_batch0 + batch1 * y_batch1) * 4
            for n in range(n_begin, n_end):
                columns = min(WIDTH, N - n * WIDTH)
                pack_panel(
                    b_panel, WIDTH, item_b + n * WIDTH * b_column * 4, b_column * 4, b_row * 4, columns, K, scale
                )
                for m in range(m_begin, m_end, ROWS):
                    run_tile(
                        item_a + m * a_row * 4,
                        a_row * 4,
                        a_column * 4,
                        b_panel,
                        table,
                        entries,
                        bias + n * WIDTH * 4 if has_bias() else no_bias,
                        0,
                        0,
                        item_y + (m * y_row + n * WIDTH) * 4,
                        0,
                        y_row * 4,
                        WIDTH // BLOCKS * 4,
                        1,
                        M - m,
                        N - n * WIDTH,
                        alpha,
                        beta,
                    )

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes)
