"""gemm.f32, gemm.bf16 and gemm.u8: Y[M, N] = act(A @ B + bias + residual) with constant B, packed in vectors along N.

The register tile reads A in place, by rows of any stride. With M = 1 it streams B once, at the bandwidth of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_packing import PAIR, QUAD
from cnnc.runtime.cpu.tile_table import element_bytes, element_of, has_wide_sums, product_table_bytes, products_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target
from cnnc.types import DType

NAME = "gemm.f32"
BUFFERS = ("a", "b", "bias", "residual", "slopes", "y")
SIZES = ("M", "N", "K", "a_row", "a_column", "y_row", "m_tiles", "n_tiles", "alpha", "beta")
"""a_row, a_column, y_row: strides in elements; y's columns are adjacent, and residual lies as y does. m_tiles,
n_tiles: tiles of one work item. Of bytes, A is read by words of four: K, a_row and a_column count words. With weights
of bfloat16 it is read by pairs: K counts pairs, a_column lies between them. bias and slopes hold N floats; residual and
slopes are 0 where the variant has none. Variant parameters: rows (of A of a tile), blocks, activation, residual (0 or
1), lanes."""


def pack_gemm(b: NDArray[Any], lanes: int, blocks: int, scale: float = 1.0) -> NDArray[np.float32]:
    """``scale`` * ``b`` [K, N] as [N tile][K][blocks * lanes], zero-padded in N."""
    k, n = b.shape
    width = lanes * blocks
    tiles = -(-n // width)
    padded = np.zeros((k, tiles * width), np.float32)
    padded[:, :n] = np.asarray(b, np.float32) * np.float32(scale)
    return np.ascontiguousarray(np.swapaxes(padded.reshape(k, tiles, width), 0, 1))


def pack_byte_gemm(b: NDArray[np.int8], lanes: int, blocks: int) -> NDArray[np.int32]:
    """As ``pack_gemm``, with words of four bytes along K: [N tile][K / 4][blocks * lanes], K a multiple of four."""
    return _pack_words(b, lanes, blocks, QUAD)


def pack_bfloat_gemm(b: NDArray[Any], lanes: int, blocks: int, scale: float = 1.0) -> NDArray[np.int32]:
    """As ``pack_gemm``, rounded to bfloat16, with pairs along K: [N tile][K / 2][blocks * lanes], K even."""
    scaled = np.asarray(b, np.float32) * np.float32(scale)
    return _pack_words(scaled.astype(DType.BF16.numpy).view(np.uint16), lanes, blocks, PAIR)


def _pack_words(b: NDArray[Any], lanes: int, blocks: int, step: int) -> NDArray[np.int32]:
    """``b`` with ``step`` neighbours along K in each word."""
    k, n = b.shape
    words = np.ascontiguousarray(b.reshape(k // step, step, n).transpose(0, 2, 1)).view(np.int32).reshape(-1, n)
    width = lanes * blocks
    tiles = -(-n // width)
    padded = np.zeros((k // step, tiles * width), np.int32)
    padded[:, :n] = words
    return np.ascontiguousarray(np.swapaxes(padded.reshape(-1, tiles, width), 0, 1))


def _width(params: Params) -> int:
    return int(params["lanes"]) * int(params["blocks"])


def _step_words(params: Params) -> int:
    """Words of A of a step."""
    return PAIR if products_of(params) == "bf16_weights" else 1


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    n_groups = ceil_div(ceil_div(s["N"], _width(params)), s["n_tiles"])
    return ceil_div(s["M"], s["m_tiles"] * int(params["rows"])) * n_groups


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    return product_table_bytes(s["K"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    if not s["M"] or not s["N"]:
        return ()
    y_bytes = ((s["M"] - 1) * s["y_row"] + s["N"]) * element_bytes(params)
    a_floats = (s["M"] - 1) * s["a_row"] + (s["K"] - 1) * s["a_column"] + _step_words(params)
    n_tiles = -(-s["N"] // _width(params))
    accesses = [
        Access("a", 0, a_floats * 4 if s["K"] else 0, False),
        Access("b", 0, n_tiles * s["K"] * _width(params) * 4, False),
        Access("bias", 0, s["N"] * 4, False),
        Access("y", 0, y_bytes, True),
    ]
    if params["residual"]:
        accesses.append(Access("residual", 0, y_bytes, False))
    if params["activation"] in ("prelu", "requantize"):
        accesses.append(Access("slopes", 0, s["N"] * 4, False))
    return tuple(accesses)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.tile import TILE_ARGS, Tile, emit_tile, product_table
    from cnnc.runtime.cpu.vector import constant, intrinsic

    rows, blocks = int(params["rows"]), int(params["blocks"])
    tile_rows, tile_blocks = constant(target, rows), constant(target, blocks)
    vector_lanes, result_bytes = constant(target, target.lanes), constant(target, element_bytes(params))
    tile = Tile(
        rows,
        1,
        blocks,
        4,
        str(params["activation"]),
        bool(params["residual"]),
        masked=True,
        clamped=True,
        wide=has_wide_sums(params),
        element=element_of(params),
        products=products_of(params),
    )
    run_tile = intrinsic(target, lambda b, *values: emit_tile(b, tile, *values), len(TILE_ARGS))
    list_products = product_table(target)

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        ROWS, BLOCKS = tile_rows(), tile_blocks()
        WIDTH = BLOCKS * vector_lanes()
        a, b, bias, residual, slopes, y = args[0], args[1], args[2], args[3], args[4], args[5]
        M, N, K, a_row, a_column, y_row = args[6], args[7], args[8], args[9], args[10], args[11]
        m_tiles, n_tiles, alpha, beta = args[12], args[13], args[14], args[15]

        table = scratch
        entries = list_products(table, K, a_column * 4, WIDTH * 4)
        all_n_tiles = (N + WIDTH - 1) // WIDTH
        n_groups = (all_n_tiles + n_tiles - 1) // n_tiles
        for item in range(begin, end):
            m_group = item // n_groups
            m_begin = m_group * m_tiles * ROWS
            m_end = min(m_begin + m_tiles * ROWS, M)
            n_begin = (item - m_group * n_groups) * n_tiles
            n_end = min(n_begin + n_tiles, all_n_tiles)
            for n in range(n_begin, n_end):
                for m in range(m_begin, m_end, ROWS):
                    offset = (m * y_row + n * WIDTH) * result_bytes()
                    run_tile(
                        a + m * a_row * 4,
                        a_row * 4,
                        a_column * 4,
                        b + n * K * WIDTH * 4,
                        table,
                        entries,
                        bias + n * WIDTH * 4,
                        slopes + n * WIDTH * 4,
                        residual + offset,
                        y + offset,
                        0,
                        y_row * result_bytes(),
                        WIDTH // BLOCKS * result_bytes(),
                        1,
                        M - m,
                        N - n * WIDTH,
                        alpha,
                        beta,
                    )

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes)
