"""Register tiles and work items of matrix products, ranked like those of ``conv_tiling``. Pure functions of sizes."""

from __future__ import annotations

from dataclasses import dataclass

_PANEL_BYTES = 256 << 10  # rows of A of one work item: a quarter of a usual L2 cache
_ITEMS = 16
_MOST_RANKED = 1000  # tilings, of which all are ranked


@dataclass(frozen=True, slots=True)
class GemmTiling:
    """Rows of A and blocks of N of a register tile; tiles per work item."""

    rows: int
    blocks: int
    m_tiles: int
    n_tiles: int


def choose_gemm_tiling(m: int, n: int, k: int, lanes: int, packs_b: bool = False) -> GemmTiling:
    """The first of ``rank_gemm_tilings``."""
    return rank_gemm_tilings(m, n, k, lanes, packs_b)[0][1]


def rank_gemm_tilings(
    m: int, n: int, k: int, lanes: int, packs_b: bool = False, count: int = 1, wide: bool = False
) -> list[tuple[float, GemmTiling]]:
    """Up to ``count`` tilings of ``gemm.f32`` for an m x k by k x n product; unknown sizes are given as hints.

    At most 9 rows of A: rows whose stride is a multiple of 4 KiB share one set of the first-level cache. With
    ``packs_b`` (``matmul.f32``) an item takes all rows for one tile of N, so that B is packed once. ``wide``: sums are
    float64, which take two registers each.
    """
    registers = 28 if lanes == 16 else 12
    if wide:
        registers = 12 if lanes == 16 else 5
    n_blocks = max(1, -(-n // lanes))
    choices = []
    for blocks in (1, 2, 3, 4, 8):
        # Eight blocks only where B is streamed once: they keep more loads under way, and lean on B's bandwidth.
        if blocks > n_blocks or blocks > registers // 2 or (blocks == 8 and m > 1):
            continue
        for rows in range(1, max(1, min(m, registers // blocks, 9)) + 1):
            tiles = -(-m // rows) * -(-n_blocks // blocks)
            # A step costs its multiply-adds, or its loads where there are fewer; short chains wait for latency.
            step = max(rows * blocks, 8, (rows + blocks) * (1.0 if lanes == 16 else 1.25)) + 1.0 + 0.25 * rows
            choices.append((tiles * step, -blocks, rows))
    packing = 2 * n_blocks * k if packs_b else 0
    return [
        (cost * k + packing, _with_items(m, n_blocks, k, rows, -negative, packs_b))
        for cost, negative, rows in sorted(choices)[:count]
    ]


def rank_bfloat_gemm_tilings(m: int, n: int, k: int, lanes: int, count: int = 1) -> list[tuple[float, GemmTiling]]:
    """Up to ``count`` tilings of ``gemm.bf16``, whose vectors of weights are two once they are widened."""
    ranked = rank_gemm_tilings(m, n, k, lanes, count=_MOST_RANKED)
    registers = 30 if lanes == 16 else 14
    return [(cost, tile) for cost, tile in ranked if (tile.rows + 2) * tile.blocks <= registers][:count]


def _with_items(m: int, n_blocks: int, k: int, rows: int, blocks: int, packs_b: bool) -> GemmTiling:
    all_m_tiles, all_n_tiles = max(1, -(-m // rows)), max(1, -(-n_blocks // blocks))
    if packs_b:
        return GemmTiling(rows, blocks, all_m_tiles, 1)
    m_tiles = max(1, min(all_m_tiles, _PANEL_BYTES // max(1, k * rows * 4)))
    m_tiles = -(-all_m_tiles // -(-all_m_tiles // m_tiles))
    n_tiles = all_n_tiles
    while n_tiles > 1 and -(-all_m_tiles // m_tiles) * -(-all_n_tiles // n_tiles) < _ITEMS:
        n_tiles = -(-n_tiles // 2)
    return GemmTiling(rows, blocks, m_tiles, n_tiles)
