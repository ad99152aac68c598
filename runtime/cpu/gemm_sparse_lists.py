"""gemm.f32.sparse_lists and gemm.u8.sparse_lists: Y[M, N] = act(A @ B + bias) with lists of the weights of B.

For B with few non-zero weights: time goes with their number. ``gemm_sparse_packing`` says how they lie. Rows of A are
taken one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.gemm_footprint import product_accesses
from cnnc.runtime.cpu.tile_table import element_bytes, element_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "gemm.f32.sparse_lists"
BUFFERS = ("a", "starts", "counts", "positions", "words", "bias", "slopes", "y")
SIZES = ("M", "N", "K", "entries", "panel", "a_row", "y_row", "n_tiles", "alpha", "beta")
"""K, panel and a_row count words: floats, or four bytes. entries: all positions. starts to words: ``PackedLists`` for
tiles of ``lanes`` outputs. a_row, y_row: strides in elements, columns are adjacent. n_tiles: tiles of one work item.
Variant parameters: group (outputs of a list, 1 or 4), activation, lanes, element."""


def _tiles(s: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(s["N"], int(params["lanes"]))


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(_tiles(s, params), s["n_tiles"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tiles, group = -(-s["N"] // int(params["lanes"])), int(params["group"])
    lists = tiles * max(1, -(-s["K"] // s["panel"])) * (int(params["lanes"]) // group)
    return product_accesses(
        s,
        params,
        Access("starts", 0, (tiles + 1) * 8, False),
        Access("counts", 0, lists * 4, False),
        Access("positions", 0, s["entries"] * 2, False),
        Access("words", 0, s["entries"] * group * 4, False),
    )


def _table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    """Lists lie one behind the other in their tile, and name positions of their panel."""
    lanes = int(params["lanes"])
    tiles, panels = -(-s["N"] // lanes), max(1, -(-s["K"] // s["panel"]))
    lists = lanes // int(params["group"])
    starts = tables["starts"][: (tiles + 1) * 8].view(np.int64)
    counts = tables["counts"][: tiles * panels * lists * 4].view(np.int32).reshape(tiles, panels, lists)
    if (counts < 0).any() or (np.diff(starts) != counts.sum(axis=(1, 2))).any():
        return "its lists are not as long as their tiles"
    if starts[0] != 0 or starts[-1] != s["entries"]:
        return "its tiles do not divide the entries"
    positions = tables["positions"][: s["entries"] * 2].view(np.uint16)
    ends = np.minimum(s["K"] - np.arange(panels) * s["panel"], s["panel"])
    if (positions >= np.repeat(np.broadcast_to(ends[:, None], counts.shape).ravel(), counts.ravel())).any():
        return "a list names a position behind its panel"
    return None


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.registers import scalar_access
    from cnnc.runtime.cpu.sparse_lists_tile import LISTS_ARGS, emit_lists_tile
    from cnnc.runtime.cpu.tile import Tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    group = int(params["group"])
    tile = Tile(1, 1, 1, 4, str(params["activation"]), False, masked=True, element=element_of(params))
    run_tile = intrinsic(target, lambda b, *values: emit_lists_tile(b, tile, group, *values), len(LISTS_ARGS))
    tile_lanes, lists_of_tile = constant(target, target.lanes), constant(target, target.lanes // group)
    outputs, result_bytes = constant(target, group), constant(target, element_bytes(params))
    read_start = scalar_access(target, "i64")[0]

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        LANES, LISTS = tile_lanes(), lists_of_tile()
        a, starts, counts, positions = args[0], args[1], args[2], args[3]
        words, bias, slopes, y = args[4], args[5], args[6], args[7]
        M, N, K, panel, a_row, y_row = args[8], args[9], args[10], args[12], args[13], args[14]
        n_tiles, alpha, beta = args[15], args[16], args[17]

        panels = max(1, (K + panel - 1) // panel)
        all_tiles = (N + LANES - 1) // LANES
        for item in range(begin, end):
            for n in range(item * n_tiles, min((item + 1) * n_tiles, all_tiles)):
                start = read_start(starts + 8 * n)
                for m in range(M):
                    run_tile(
                        a + m * a_row * 4,
                        counts + n * panels * LISTS * 4,
                        positions + start * 2,
                        words + start * outputs() * 4,
                        panels,
                        panel * 4,
                        bias + n * LANES * 4,
                        slopes + n * LANES * 4,
                        y + (m * y_row + n * LANES) * result_bytes(),
                        N - n * LANES,
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
    tables=("starts", "counts", "positions"),
    table_refusal=_table_refusal,
)
