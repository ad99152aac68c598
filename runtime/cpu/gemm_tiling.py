"""Chooses register tiles and work items of matrix products from their shapes. Pure functions of sizes."""

from __future__ import annotations

from dataclasses import dataclass

_PANEL_BYTES = 256 << 10  # rows of A of one work item: a quarter of a usual L2 cache
_ITEMS = 16


@dataclass(frozen=True, slots=True)
class GemmTiling:
    """Rows of A (``columns`` of the register tile) and blocks of N of a tile; tiles per work item."""

    columns: int
    blocks: int
    m_tiles: int
    n_tiles: int


def choose_gemm_tiling(m: int, n: int, k: int, lanes: int) -> GemmTiling:
    """Tiling of ``gemm.f32`` and ``matmul.f32`` for an m x k by k x n product; unknown sizes are given as hints."""
    registers = 28 if lanes == 16 else 12
    most_blocks = max(1, -(-n // lanes))
    choices = []
    for blocks in (1, 2, 3, 4, 8):
        if blocks > most_blocks or blocks > registers // 2:
            continue
        for columns in range(1, min(m, registers // blocks) + 1):
            tiles = -(-m // columns) * -(-most_blocks // blocks)
            loads = 0.0 if lanes == 16 else (columns + blocks) * 0.5
            # Few rows make the product a stream of B: several blocks keep enough loads under way.
            step = max(columns * blocks, 8, loads) + 1.0 + 0.25 * blocks
            choices.append((tiles * step, -columns, blocks))
    _, negative, blocks = min(choices) if choices else (0.0, -1, 1)
    columns = -negative
    all_m_tiles, all_n_tiles = max(1, -(-m // columns)), max(1, -(-n // (blocks * lanes)))
    m_tiles = max(1, min(all_m_tiles, _PANEL_BYTES // max(1, k * columns * 4)))
    m_tiles = -(-all_m_tiles // -(-all_m_tiles // m_tiles))
    n_tiles = all_n_tiles
    while n_tiles > 1 and -(-all_m_tiles // m_tiles) * -(-all_n_tiles // n_tiles) < _ITEMS:
        n_tiles = -(-n_tiles // 2)
    return GemmTiling(columns, blocks, m_tiles, n_tiles)
