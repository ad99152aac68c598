"""Matrix products on GPUs: with constant weights, of few rows or of whole blocks, and of matrices of any strides."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cuda.alignment import in_quads
from cnnc.lower.cuda.matrix_blocks import BLOCKS_RULE, blocks_calls, blocks_refusal, rank_blocks
from cnnc.lower.matrix import general_operands, general_refusal
from cnnc.lower.matrix_operands import (
    columns_of,
    constant_bias,
    constant_refusal,
    constant_weights,
    describe,
    rows_of,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import TYPICAL_SIZE, activation_bits, typical
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.gemm_few_rows import FewRowsTile, pack_rows
from cnnc.runtime.cuda.gemm_tiling import MOST_ROWS, MatmulTile, rank_few_rows, rank_matmul
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call, Choice

_FEW_ROWS = "gemm.f32.few_rows"
_SUM_SPLITS = "gemm.f32.sum_splits"
_MATMUL = "matmul.f32"
_MOST_PASSES = 4
"""Times that weights may be read."""


# ---- constant weights, few rows -------------------------------------------------------------------------------------


def _few_rows_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = constant_refusal(node, builder)
    if reason is not None:
        return reason
    if typical(rows_of(node), 1) > _MOST_PASSES * MOST_ROWS:
        return f"it has more than {_MOST_PASSES * MOST_ROWS} rows: weights would be read too often"
    return None


def _few_rows_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, FewRowsTile]]:
    depth, columns = constant_weights(node).shape
    return rank_few_rows(typical(rows_of(node), 1), columns, depth, facts_of(builder.target))[:count]


def _emit_few_rows(node: Node, builder: ProgramBuilder, tile: FewRowsTile) -> None:
    """The tile; where the number of rows is open, with alternatives for more of them."""
    rows = rows_of(node)
    if isinstance(rows, int):
        builder.kernel_step(node, _few_rows_calls(node, builder, tile))
        return
    depth, columns = constant_weights(node).shape
    device = facts_of(builder.target)
    [(_, full), *_] = rank_few_rows(MOST_ROWS, columns, depth, device)
    choices = [Choice(tuple(_few_rows_calls(node, builder, tile)), (tile.rows - rows,))]
    few, many = tuple(_few_rows_calls(node, builder, full)), _many_rows_calls(node, builder)
    choices += [Choice(few, (MOST_ROWS - rows,)), Choice(many)] if many else [Choice(few)]
    builder.choice_step(node, tuple(choices))


def _many_rows_calls(node: Node, builder: ProgramBuilder) -> tuple[Call, ...]:
    """A product of an open number of rows, ``TYPICAL_SIZE`` of them or so; none if only few rows can be computed."""
    if blocks_refusal(node, builder) is None:
        [(_, tiling), *_] = rank_blocks(node, builder, TYPICAL_SIZE, 1)
        return tuple(blocks_calls(node, builder, tiling))
    if general_refusal(node, builder) is not None:
        return ()
    depth, columns = constant_weights(node).shape
    [(_, tile), *_] = rank_matmul(1, TYPICAL_SIZE, columns, depth, facts_of(builder.target))
    return (_matmul_call(node, builder, tile),)


def _few_rows_calls(node: Node, builder: ProgramBuilder, tile: FewRowsTile) -> list[Call]:
    described, weights = describe(node), constant_weights(node)
    rows, columns, depth = rows_of(node), columns_of(node), weights.shape[0]
    a, y, activation = builder.argument(node.input(0)), builder.result(node.output), described.activation
    quads = described.a.column == 1 and in_quads(a, depth, 0 if rows == 1 else described.a.row)
    bias = BufferArg(builder.constant(constant_bias(node), f"{node.name}.bias"))
    packed = BufferArg(builder.constant(pack_rows(weights, described.scale), f"{node.name}.weights"))
    sizes: dict[str, Dim] = {"M": rows, "N": columns, "splits": tile.splits, **activation_bits(activation)}
    inner: dict[str, Dim] = {"K": depth, "a_row": described.a.row, "a_column": described.a.column}
    params = {"rows": tile.rows, "columns": tile.columns, "parts": tile.parts, "quads": int(quads)}
    variant = Variant.of(_FEW_ROWS, **params, partial=int(tile.splits > 1), activation=activation.kind)
    buffers: dict[str, BufferArg | int] = {"y": y, "a": a, "weights": packed, "bias": bias}
    if tile.splits == 1:
        return [builder.call(variant, buffers, sizes | inner)]
    sums = BufferArg(builder.temporary(f"{node.name}.sums", 4 * tile.splits * product((rows, columns))))
    adding = Variant.of(_SUM_SPLITS, activation=activation.kind)
    return [
        builder.call(variant, buffers | {"y": sums}, sizes | inner),
        builder.call(adding, {"y": y, "sums": sums, "bias": bias}, sizes),
    ]


# ---- two matrices ---------------------------------------------------------------------------------------------------


def _matmul_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, MatmulTile]]:
    described = describe(node)
    batch = typical(product(size for size, _, _ in described.batch), 1)
    rows, columns, depth = (typical(size) for size in (described.a.rows, described.b.columns, described.a.columns))
    return rank_matmul(batch, rows, columns, depth, facts_of(builder.target))[:count]


def _emit_matmul(node: Node, builder: ProgramBuilder, tile: MatmulTile) -> None:
    builder.kernel_step(node, [_matmul_call(node, builder, tile)])


def _matmul_call(node: Node, builder: ProgramBuilder, tile: MatmulTile) -> Call:
    described = describe(node)
    buffers, sizes = general_operands(node, builder)
    y = buffers["y"]
    assert isinstance(y, BufferArg)
    variant = Variant.of(
        _MATMUL,
        rows=tile.rows,
        columns=tile.rows,
        row_threads=tile.threads,
        column_threads=tile.threads,
        a_depth=int(described.a.column == 1),
        b_depth=int(described.b.row == 1 and described.b.column != 1),
        quads=int(in_quads(y, described.b.columns)),
        activation=described.activation.kind,
        bias=int(node.optional(2) is not None),
    )
    return builder.call(variant, buffers, sizes | {"m_tiles": 1, "n_tiles": 1})


_RULES = (
    TiledRule(_FEW_ROWS, FewRowsTile, _few_rows_refusal, _few_rows_tilings, _emit_few_rows, reads_weights=True),
    BLOCKS_RULE,
    TiledRule(_MATMUL, MatmulTile, general_refusal, _matmul_tilings, _emit_matmul, reads_weights=True),
)

RULES = {"gemm": _RULES, "matmul": _RULES}
