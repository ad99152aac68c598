"""Matrix products of few rows on GPUs with constant weights that are mostly zeros: what is not stored is not read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv_sparse import density_refusal
from cnnc.lower.matrix_operands import constant_bias, constant_refusal, constant_weights, describe, rows_of
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.gemm_sparse import NAME, SparseRowsTile, pack_sparse_matrix
from cnnc.runtime.cuda.gemm_tiling import MOST_ROWS, rank_sparse_rows
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_GROUPS = (1, 4)


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = constant_refusal(node, builder)
    if reason is not None:
        return reason
    if describe(node).a.column != 1:
        return "its first operand is transposed"
    rows = rows_of(node)
    if not isinstance(rows, int):
        return "its number of rows is open"
    if rows > MOST_ROWS:
        return f"it has more than {MOST_ROWS} rows: lists would be read several times"
    return density_refusal(constant_weights(node))


def _entries(node: Node) -> tuple[tuple[int, int], ...]:
    """(columns with one list, places where any of them has a weight)."""
    kept: Array = constant_weights(node) != 0
    counts = []
    for group in _GROUPS:
        taken = np.logical_or.reduceat(kept, np.arange(0, kept.shape[1], group), axis=1)
        counts.append((group, int(np.count_nonzero(taken))))
    return tuple(counts)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, SparseRowsTile]]:
    depth, columns = constant_weights(node).shape
    entries = builder.once(("sparse matrix", node), lambda: _entries(node))
    return rank_sparse_rows(typical(rows_of(node), 1), columns, depth, entries, facts_of(builder.target))[:count]


def _emit(node: Node, builder: ProgramBuilder, tile: SparseRowsTile) -> None:
    described, weights = describe(node), constant_weights(node)
    depth, columns = weights.shape
    packed = pack_sparse_matrix(np.multiply(weights, np.float32(described.scale), dtype=np.float32), tile)
    buffers: dict[str, BufferArg | int] = {
        "a": builder.argument(node.input(0)),
        "table": BufferArg(builder.constant(packed.table, f"{node.name}.table")),
        "positions": BufferArg(builder.constant(packed.positions, f"{node.name}.positions")),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "bias": BufferArg(builder.constant(constant_bias(node), f"{node.name}.bias")),
    }
    buffers["y"] = builder.result(node.output)
    sizes: dict[str, Dim] = {"M": rows_of(node), "N": columns, "K": depth, "a_row": described.a.row}
    sizes |= {"entries": len(packed.positions), **activation_bits(described.activation)}
    variant = Variant.of(NAME, rows=tile.rows, group=tile.group, activation=described.activation.kind)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


_RULE = TiledRule(NAME, SparseRowsTile, _refusal, _tilings, _emit, reads_weights=True)

RULES = {"gemm": (_RULE,), "matmul": (_RULE,)}
