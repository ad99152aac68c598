"""Matrix products: Gemm and MatMul with constant weights, and of two run-time matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnc.dims import Dim
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cost import cost_with_weights
from cnnc.lower.matrix_operands import (
    columns_of,
    common_refusal,
    constant_bias,
    constant_refusal,
    constant_weights,
    describe,
    rows_of,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, float_bits, typical
from cnnc.ops.linear import GemmAttrs
from cnnc.runtime.cpu.conv_packing import PAIR
from cnnc.runtime.cpu.gemm import pack_bfloat_gemm, pack_gemm
from cnnc.runtime.cpu.gemm_tiling import GemmTiling, rank_bfloat_gemm_tilings, rank_gemm_tilings
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

# ---- constant weights -----------------------------------------------------------------------------------------------


def _constant_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    described = describe(node)
    ranked = rank_gemm_tilings(
        typical(rows_of(node), 1),
        columns_of(node),
        typical(described.b.rows),
        builder.target.lanes,
        count=count,
        wide=builder.numerics.wide_sums,
    )
    return _with_weights(ranked, constant_weights(node).size * 4, builder)


def _with_weights(
    ranked: Sequence[tuple[float, GemmTiling]], weight_bytes: int, builder: ProgramBuilder
) -> list[tuple[float, GemmTiling]]:
    """Tilings with the costs of reading the weights: other kernels read fewer bytes."""
    return [(cost_with_weights(cost, weight_bytes, builder), tiling) for cost, tiling in ranked]


def _emit_constant(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    described, weights = describe(node), constant_weights(node)
    packed = pack_gemm(weights, builder.target.lanes, tiling.blocks, described.scale)
    steps = {"K": weights.shape[0], "a_column": described.a.column}
    _emit_packed(node, builder, tiling, "gemm.f32", packed, steps, builder.numerics.sum_params)


def _emit_packed(
    node: Node,
    builder: ProgramBuilder,
    tiling: GemmTiling,
    kernel: str,
    packed: Array,
    steps: Mapping[str, Dim],
    params: Mapping[str, int | str],
) -> None:
    """The step of ``kernel`` with packed weights; ``steps``: K and a_column."""
    described, lanes, columns = describe(node), builder.target.lanes, columns_of(node)
    sizes: dict[str, Dim] = {"M": rows_of(node), "N": columns, "a_row": described.a.row, **steps}
    sizes |= {"y_row": columns, "m_tiles": tiling.m_tiles, "n_tiles": tiling.n_tiles}
    buffers: dict[str, BufferArg | int] = {
        "a": builder.argument(node.input(0)),
        "b": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        "bias": BufferArg(builder.constant(constant_bias(node), f"{node.name}.bias")),
        "residual": 0,
        "slopes": 0,
    }
    buffers["y"] = builder.result(node.output)
    variant = Variant.of(
        kernel,
        rows=tiling.rows,
        blocks=tiling.blocks,
        activation=described.activation.kind,
        residual=0,
        lanes=lanes,
        **params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes | activation_bits(described.activation))])


# ---- constant weights of bfloat16 -----------------------------------------------------------------------------------

_FEW_ROWS = 8
"""Rows of A up to which a product waits for its weights from memory: 64 bytes take as long as so many multiply-adds."""


def _bfloat_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if builder.numerics.precision != "bf16":
        return "the precision is f32"
    reason = constant_refusal(node, builder)
    if reason is not None:
        return reason
    if typical(rows_of(node), 1) > _FEW_ROWS:
        return f"it has more than {_FEW_ROWS} rows: computing takes the time, not reading the weights"
    if constant_weights(node).shape[0] % PAIR:
        return "its inner size is odd"
    return None if describe(node).a.column == 1 else "its first operand is transposed"


def _bfloat_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    depth, columns = constant_weights(node).shape
    ranked = rank_bfloat_gemm_tilings(typical(rows_of(node), 1), columns, depth, builder.target.lanes, count)
    return _with_weights(ranked, depth * columns * 2, builder)


def _emit_bfloat(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    weights = constant_weights(node)
    packed = pack_bfloat_gemm(weights, builder.target.lanes, tiling.blocks, describe(node).scale)
    steps = {"K": weights.shape[0] // PAIR, "a_column": PAIR}
    _emit_packed(node, builder, tiling, "gemm.bf16", packed, steps, {"products": "bf16_weights"})


# ---- two run-time matrices ------------------------------------------------------------------------------------------


def general_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    """Why ``matmul.f32`` does not compute the product."""
    reason = common_refusal(node, builder)
    if reason is not None:
        return reason
    described = describe(node)
    if len(described.batch) > 2:
        return f"{len(described.batch)} separate batch axes, at most 2 are supported"
    bias = node.optional(2)
    if bias is None or not isinstance(node.attrs, GemmAttrs):
        return None
    if node.attrs.beta != 1 or bias.type.shape not in ((described.b.columns,), (1, described.b.columns)):
        return "its third operand is not one number a column, or is scaled"
    return None


def _general_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    described = describe(node)
    sizes = (described.a.rows, described.b.columns, described.a.columns)
    rows, columns, depth = (typical(size) for size in sizes)
    wide = builder.numerics.wide_sums
    ranked = rank_gemm_tilings(rows, columns, depth, builder.target.lanes, packs_b=True, count=count, wide=wide)
    weights = node.input(1).array
    return ranked if weights is None else _with_weights(ranked, weights.size * 4, builder)


def general_operands(node: Node, builder: ProgramBuilder) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """Buffers of ``matmul.f32``, and its sizes but for those of a tiling."""
    described = describe(node)
    a, b = described.a, described.b
    outer, inner = ((1, 0, 0), (1, 0, 0), *described.batch)[-2:]
    matrix = a.rows * b.columns
    sizes: dict[str, Dim] = {"B0": outer[0], "B1": inner[0], "M": a.rows, "N": b.columns, "K": a.columns}
    sizes |= {"a_batch0": outer[1], "a_batch1": inner[1], "a_row": a.row, "a_column": a.column}
    sizes |= {"b_batch0": outer[2], "b_batch1": inner[2], "b_row": b.row, "b_column": b.column}
    sizes |= {"y_batch0": matrix * inner[0], "y_batch1": matrix, "y_row": b.columns}
    sizes |= {"scale": float_bits(described.scale), **activation_bits(described.activation)}
    bias = node.optional(2)
    buffers: dict[str, BufferArg | int] = {
        "a": builder.argument(node.input(0)),
        "b": builder.argument(node.input(1)),
        "bias": 0 if bias is None else builder.argument(bias),
    }
    buffers["y"] = builder.result(node.output)
    return buffers, sizes


def _emit_general(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    buffers, sizes = general_operands(node, builder)
    variant = Variant.of(
        "matmul.f32",
        rows=tiling.rows,
        blocks=tiling.blocks,
        activation=describe(node).activation.kind,
        bias=int(node.optional(2) is not None),
        lanes=builder.target.lanes,
        **builder.numerics.sum_params,
    )
    tiles: dict[str, Dim] = {"m_tiles": tiling.m_tiles, "n_tiles": tiling.n_tiles}
    builder.kernel_step(node, [builder.call(variant, buffers, sizes | tiles)])


_RULES = (
    TiledRule("gemm.bf16", GemmTiling, _bfloat_refusal, _bfloat_tilings, _emit_bfloat, reads_weights=True),
    TiledRule("gemm.f32", GemmTiling, constant_refusal, _constant_tilings, _emit_constant, reads_weights=True),
    TiledRule("matmul.f32", GemmTiling, general_refusal, _general_tilings, _emit_general, reads_weights=True),
)

RULES = {"gemm": _RULES, "matmul": _RULES}
