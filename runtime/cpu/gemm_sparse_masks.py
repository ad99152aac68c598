"""gemm.f32.sparse_masks and gemm.u8.sparse_masks: Y[M, N] = act(A @ B + bias) with masks of the weights of B.

For B with up to about 80 % zeros whose weights come from memory: masks are fewer bytes than positions, and every vector
of weights takes the same time. See ``gemm_sparse_packing`` for the format; it needs AVX-512.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.gemm_footprint import product_accesses
from cnnc.runtime.cpu.tile_table import element_bytes, element_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "gemm.f32.sparse_masks"
BUFFERS = ("a", "starts", "positions", "masks", "words", "bias", "slopes", "y")
SIZES = ("M", "N", "K", "steps", "entries", "a_row", "y_row", "m_tiles", "n_tiles", "alpha", "beta")
"""K and a_row count words: floats, or four bytes. steps: positions of all tiles; entries: words of all tiles. starts to
words: ``PackedMasks``. a_row, y_row: strides in elements, columns are adjacent. m_tiles, n_tiles: tiles of one work
item. Variant parameters: rows (of A of a tile), blocks, activation, lanes, element."""


def _width(params: Params) -> int:
    return int(params["lanes"]) * int(params["blocks"])


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    n_groups = ceil_div(ceil_div(s["N"], _width(params)), s["n_tiles"])
    return ceil_div(s["M"], s["m_tiles"] * int(params["rows"])) * n_groups


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tiles = -(-s["N"] // _width(params))
    return product_accesses(
        s,
        params,
        Access("starts", 0, (tiles + 1) * 16, False),
        Access("positions", 0, s["steps"] * 2, False),
        Access("masks", 0, s["steps"] * int(params["blocks"]) * 2, False),
        Access("words", 0, s["entries"] * 4, False),
    )


def _table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    """Tiles lie one behind the other, masks have as many bits as there are words, and positions are of K."""
    tiles, blocks = -(-s["N"] // _width(params)), int(params["blocks"])
    starts = tables["starts"][: (tiles + 1) * 16].view(np.int64).reshape(-1, 2)
    if (np.diff(starts, axis=0) < 0).any() or starts[0].any() or (starts[-1] != (s["steps"], s["entries"])).any():
        return "its tiles do not divide the positions and words"
    masks = tables["masks"][: s["steps"] * blocks * 2]
    bits = np.unpackbits(masks).reshape(s["steps"], blocks * 16).sum(axis=1)
    if (np.concatenate([[0], np.cumsum(bits)])[starts[:, 0]] != starts[:, 1]).any():
        return "its masks have other bits than words"
    if (tables["positions"][: s["steps"] * 2].view(np.uint16) >= s["K"]).any():
        return "a mask is of a position behind the last"
    return None


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.registers import scalar_access
    from cnnc.runtime.cpu.sparse_masks_tile import MASKS_ARGS, emit_masks_tile
    from cnnc.runtime.cpu.tile import Tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    rows, blocks = int(params["rows"]), int(params["blocks"])
    tile = Tile(rows, 1, blocks, 4, str(params["activation"]), False, masked=True, element=element_of(params))
    run_tile = intrinsic(target, lambda b, *values: emit_masks_tile(b, tile, *values), len(MASKS_ARGS))
    tile_rows, tile_blocks = constant(target, rows), constant(target, blocks)
    vector_lanes, result_bytes = constant(target, target.lanes), constant(target, element_bytes(params))
    read_start = scalar_access(target, "i64")[0]

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        ROWS, BLOCKS, LANES = tile_rows(), tile_blocks(), vector_lanes()
        WIDTH = BLOCKS * LANES
        a, starts, positions, masks = args[0], args[1], args[2], args[3]
        words, bias, slopes, y = args[4], args[5], args[6], args[7]
        M, N, a_row, y_row = args[8], args[9], args[13], args[14]
        m_tiles, n_tiles, alpha, beta = args[15], args[16], args[17], args[18]

        all_tiles = (N + WIDTH - 1) // WIDTH
        n_groups = (all_tiles + n_tiles - 1) // n_tiles
        for item in range(begin, end):
            m_group = item // n_groups
            m_begin = m_group * m_tiles * ROWS
            m_end = min(m_begin + m_tiles * ROWS, M)
            n_begin = (item - m_group * n_groups) * n_tiles
            for n in range(n_begin, min(n_begin + n_tiles, all_tiles)):
                first, stop = read_start(starts + 16 * n), read_start(starts + 16 * n + 16)
                for m in range(m_begin, m_end, ROWS):
                    run_tile(
                        a + m * a_row * 4,
                        a_row * 4,
                        positions + first * 2,
                        masks + first * BLOCKS * 2,
                        words + read_start(starts + 16 * n + 8) * 4,
                        stop - first,
                        bias + n * WIDTH * 4,
                        slopes + n * WIDTH * 4,
                        y + (m * y_row + n * WIDTH) * result_bytes(),
                        y_row * result_bytes(),
                        LANES * result_bytes(),
                        M - m,
                        N - n * WIDTH,
                        alpha,
                        beta,
                    )

    return kernel


KERNEL = KernelDef(
    NAME,
    BUFFERS,
    SIZES,
    _build,
    _items,
    _footprint,
    tables=("starts", "positions", "masks"),
    table_refusal=_table_refusal,
)
