"""gemm.f32.sparse_rows and gemm.u8.sparse_rows: Y[M, N] = act(A @ B + bias), vectors along the rows of A.

For several rows and B with many zeros: rows of A are transposed to a *panel* in scratch, a vector of them for every
word along K, and multiplied by lists of weights as in ``conv_sparse``, whose lists and register tile it shares; outputs
take the place of output channels, and blocks of K that of groups. A work item is a tile of rows and some blocks of N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.gemm_footprint import product_accesses
from cnnc.runtime.cpu.sparse_packing import GROUP_WORDS, WORD_BYTES, ListBounds
from cnnc.runtime.cpu.tile_table import LINE_BYTES, element_bytes, element_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "gemm.f32.sparse_rows"
BUFFERS = ("a", "entries", "index", "groups", "bias", "slopes", "y")
SIZES = (*("M", "N", "K", "a_row", "y_row", "group_count", "parts", "entry_words", "oc_blocks", "alpha", "beta"),)
"""K and a_row count words: floats, or four bytes. a_row, y_row: strides in elements, columns are adjacent. group_count,
parts: as ``sparse_packing`` gives them; entry_words: int32 of all entries. oc_blocks: blocks of N of one work item.
Variant parameters: rows (of A of a tile: vectors, of floats also half or a quarter of one), share (outputs with one
list), activation, lanes, element."""


def _vectors(params: Params) -> int:
    return -(-int(params["rows"]) // int(params["lanes"]))


def _row_bytes(params: Params) -> int:
    return _vectors(params) * int(params["lanes"]) * WORD_BYTES


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    lanes = int(params["lanes"])
    table = -(-_vectors(params) * lanes * 8 // LINE_BYTES) * LINE_BYTES
    return LINE_BYTES + table + (s["oc_blocks"] + s["group_count"]) * lanes * _row_bytes(params)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    blocks = ceil_div(s["N"], int(params["lanes"]))
    return ceil_div(s["M"], int(params["rows"])) * ceil_div(blocks, s["oc_blocks"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    lists = -(-s["N"] // lanes) * (1 + lanes // int(params["share"]))
    return product_accesses(
        s,
        params,
        Access("entries", 0, s["entry_words"] * WORD_BYTES, False),
        Access("index", 0, s["parts"] * lists * 8, False),
        Access("groups", 0, s["group_count"] * GROUP_WORDS * 8, False),
    )


def _table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    lanes, share = int(params["lanes"]), int(params["share"])
    return ListBounds(
        *(s["entry_words"], s["parts"], share, lanes // share, -(-s["N"] // lanes)),
        *(_row_bytes(params), s["group_count"] * lanes, s["group_count"], -(-s["K"] // lanes), 1),
    ).refusal(tables)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.sparse_arithmetic import list_arithmetic
    from cnnc.runtime.cpu.sparse_rows_tile import ROW_RESULT_ARGS, emit_panel_rows, emit_row_results
    from cnnc.runtime.cpu.sparse_tile import emit_list
    from cnnc.runtime.cpu.tile import Tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    rows, share, element = int(params["rows"]), int(params["share"]), element_of(params)
    arithmetic = list_arithmetic(element)
    tile = Tile(1, 1, 1, 4, str(params["activation"]), False, masked=True, element=element)
    run_list = intrinsic(target, lambda b, *values: emit_list(b, arithmetic, rows, share, *values), 6)
    copy_rows = intrinsic(target, lambda b, *values: emit_panel_rows(b, element, *values), 5)
    store = intrinsic(target, lambda b, *values: emit_row_results(b, tile, *values), len(ROW_RESULT_ARGS))
    memory = memory_ops(target)
    load_index, store_index = memory.load_index, memory.store_index
    vector_bytes, lanes_of, result_bytes = (
        constant(target, value) for value in (target.vector_bytes, target.lanes, element_bytes(params))
    )
    tile_rows, tile_vectors = constant(target, rows), constant(target, _vectors(params))
    lists_of, list_outputs = constant(target, target.lanes // share), constant(target, share)
    entry_bytes = constant(target, (1 + share) * WORD_BYTES)

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        BYTES, LANES, ROWS, VECTORS, LISTS = vector_bytes(), lanes_of(), tile_rows(), tile_vectors(), lists_of()
        a, entries, index, groups, bias, slopes, y = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
        M, N, K, a_row, y_row, group_count, parts = args[7], args[8], args[9], args[10], args[11], args[12], args[13]
        oc_blocks, alpha, beta = args[15], args[16], args[17]

        row_bytes = VECTORS * BYTES
        table = scratch + 64
        sums = table + (VECTORS * LANES * 8 + 63) // 64 * 64
        panel = sums + oc_blocks * LANES * row_bytes
        blocks = (N + LANES - 1) // LANES
        oc_groups = (blocks + oc_blocks - 1) // oc_blocks
        index_row = (1 + LISTS) * 8

        held = load_index(scratch) - 1
        for item in range(begin, end):
            tile = item // oc_groups
            oc_begin = (item - tile * oc_groups) * oc_blocks
            oc_end = min(oc_begin + oc_blocks, blocks)
            first = tile * ROWS
            count = min(ROWS, M - first)
            if tile != held:
                held = tile
                store_index(scratch, held + 1)
                for lane in range(VECTORS * LANES):
                    # The last row stands for those behind it.
                    store_index(table + lane * 8, a + (first + min(lane, count - 1)) * a_row * 4)
                for group in range(group_count):
                    word = load_index(groups + group * 16) * LANES
                    place = panel + group * LANES * row_bytes
                    for vector in range(VECTORS):
                        rows = table + vector * LANES * 8
                        copy_rows(place + vector * BYTES, row_bytes, rows, word * 4, min(LANES, K - word))
            for part in range(parts):
                for oc in range(oc_begin, oc_end):
                    row = index + (part * blocks + oc) * index_row
                    entry = entries + load_index(row)
                    block_sums = sums + ((oc - oc_begin) * LANES * row_bytes if parts > 1 else 0)
                    for number in range(LISTS):
                        length = load_index(row + 8 + number * 8)
                        run_list(
                            panel, entry, length, block_sums + number * list_outputs() * row_bytes, row_bytes, part
                        )
                        entry += length * entry_bytes()
                    if part == parts - 1:
                        for vector in range((count + LANES - 1) // LANES):
                            row = first + vector * LANES
                            store(
                                block_sums + vector * BYTES, row_bytes, bias + oc * LANES * 4, slopes + oc * LANES * 4,
                                y + (row * y_row + oc * LANES) * result_bytes(), y_row * result_bytes(),
                                min(LANES, count - vector * LANES), N - oc * LANES, alpha, beta,
                            )  # fmt: skip

    return kernel


KERNEL = KernelDef(
    NAME,
    BUFFERS,
    SIZES,
    _build,
    _items,
    _footprint,
    _scratch_bytes,
    tables=("entries", "index", "groups"),
    table_refusal=_table_refusal,
)
