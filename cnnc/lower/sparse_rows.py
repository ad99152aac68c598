"""Matrix products of several rows with constant weights that are mostly zeros, of floats and of bytes: vectors of rows.

The lists and the cost model are those of sparse convolutions with 1x1 windows, rows being their pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cost import cost_with_weights
from cnnc.lower.quantized_sparse_matrix import BYTES
from cnnc.lower.rules import TiledRule
from cnnc.lower.sparse_matrix import FLOATS, SparseProducts
from cnnc.lower.spatial import typical
from cnnc.runtime.cpu.gemm_sparse_packing import kept_positions
from cnnc.runtime.cpu.sparse_packing import WORD_BYTES, pack_sparse
from cnnc.runtime.cpu.sparse_tiling import (
    BYTE_COSTS,
    FLOAT_COSTS,
    SparseLayer,
    SparseTiling,
    last_pixels,
    rank_sparse_tilings,
)
from cnnc.runtime.cpu.tile_table import CHAIN

_SHARES = (1, 2, 4)
_ALL_TILINGS = 1000
_ANY_LENGTH = np.iinfo(np.int32).max  # of a chain of exact sums


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rule for products of one element type."""

    products: SparseProducts

    def rule(self) -> TiledRule[SparseTiling]:
        return TiledRule(
            self._name, SparseTiling, self.products.sparse_refusal, self._tilings, self._emit, reads_weights=True
        )

    @property
    def _name(self) -> str:
        return f"{self.products.dense}.sparse_rows"

    def _tilings(self, node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, SparseTiling]]:
        words, lanes = self.products.words(node, builder), builder.target.lanes
        depth, columns = words.shape
        blocks = np.logical_or.reduceat((words != 0).any(1), np.arange(0, depth, lanes)) if depth else np.zeros(0)
        entries = kept_positions(words, _SHARES)
        rows = typical(self.products.rows(node), 1)
        layer = SparseLayer(
            batch=1,
            pixels=rows,
            taps=0,  # rows are found without looking for windows
            groups=int(np.count_nonzero(blocks)),
            group_rows=lanes,
            oc_blocks=-(-columns // lanes),
            lanes=lanes,
            entries=entries,
            costs=FLOAT_COSTS if words.dtype == np.float32 else BYTE_COSTS,
        )
        kept = dict(entries)
        ranked = [
            (cost_with_weights(cost, kept[tiling.share] * WORD_BYTES * (1 + tiling.share), builder), tiling)
            for cost, tiling in rank_sparse_tilings(layer, _ALL_TILINGS)
        ]
        return sorted(ranked, key=lambda item: item[0])[:count]

    def _emit(self, node: Node, builder: ProgramBuilder, tiling: SparseTiling) -> None:
        words, lanes = self.products.words(node, builder), builder.target.lanes
        chain = CHAIN if words.dtype == np.float32 else _ANY_LENGTH
        rows, tile_rows = self.products.rows(node), tiling.vectors * lanes
        if isinstance(rows, int) and 0 < rows <= tile_rows and words.dtype == np.float32:
            tile_rows = last_pixels(rows, tiling.vectors, lanes)
        row_bytes = -(-tile_rows // lanes) * lanes * WORD_BYTES
        blocks = -(-words.shape[1] // lanes)
        packed = pack_sparse(
            _blocks_of_depth(words, lanes), lanes, blocks, row_bytes, tiling.share, tiling.part_groups, chain
        )
        arrays = {"entries": packed.entries, "index": packed.index, "groups": packed.groups}
        sizes: dict[str, Dim] = {"group_count": len(packed.groups), "parts": packed.parts}
        sizes |= {"entry_words": packed.entries.size, "oc_blocks": tiling.oc_blocks}
        params = {"rows": tile_rows, "share": tiling.share}
        self.products.emit_call(node, builder, self._name, arrays, sizes, params)


def _blocks_of_depth(words: Array, lanes: int) -> Array:
    """``words`` [K, N] as ``channel_rows`` gives those of 1x1 windows: [N, blocks of K, 1, lanes]."""
    depth, columns = words.shape
    blocks = max(1, -(-depth // lanes))
    padded = np.zeros((columns, blocks * lanes), words.dtype)
    padded[:, :depth] = words.T
    return padded.reshape(columns, blocks, 1, lanes)


_FLOAT_RULES = (_Rows(FLOATS).rule(),)
_BYTE_RULES = (_Rows(BYTES).rule(),)

RULES = {
    "gemm": _FLOAT_RULES,
    "matmul": _FLOAT_RULES,
    "q_linear_gemm": _BYTE_RULES,
    "q_linear_matmul": _BYTE_RULES,
}
