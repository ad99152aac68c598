"""Matrix products: Gemm and MatMul with constant weights, and of two run-time matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import TiledRule, host_supports
from cnnc.lower.spatial import activation_bits, float_bits, typical
from cnnc.ops.activation import IDENTITY, Activation
from cnnc.ops.linear import GemmAttrs
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.conv_packing import PAIR
from cnnc.runtime.cpu.elementwise_tape import broadcast_strides
from cnnc.runtime.cpu.gemm import pack_bfloat_gemm, pack_gemm
from cnnc.runtime.cpu.gemm_tiling import GemmTiling, rank_bfloat_gemm_tilings, rank_gemm_tilings
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType


@dataclass(frozen=True, slots=True)
class _Matrix:
    """Rows, columns and strides in elements of a matrix operand."""

    rows: Dim
    columns: Dim
    row: Dim
    column: Dim


@dataclass(frozen=True, slots=True)
class _Product:
    """A product of matrices: batch axes as (size, stride of a, of b), the two matrices, scale and activation."""

    batch: tuple[tuple[Dim, Dim, Dim], ...]
    a: _Matrix
    b: _Matrix
    scale: float
    activation: Activation


def _describe(node: Node) -> _Product:
    a, b = node.input(0).type.shape, node.input(1).type.shape
    if isinstance(node.attrs, GemmAttrs):
        left = _Matrix(a[1], a[0], 1, a[1]) if node.attrs.transA else _Matrix(a[0], a[1], a[1], 1)
        right = _Matrix(b[1], b[0], 1, b[1]) if node.attrs.transB else _Matrix(b[0], b[1], b[1], 1)
        return _Product((), left, right, node.attrs.alpha, node.attrs.activation)
    a = a if len(a) > 1 else (1, *a)
    b = b if len(b) > 1 else (*b, 1)
    left, right = _Matrix(a[-2], a[-1], a[-1], 1), _Matrix(b[-2], b[-1], b[-1], 1)
    rank = max(len(a), len(b)) - 2
    shape = node.output.type.shape[:rank]
    scale_a, scale_b = a[-2] * a[-1], b[-2] * b[-1]
    strides_a = [stride * scale_a for stride in broadcast_strides(a[:-2], shape)]
    strides_b = [stride * scale_b for stride in broadcast_strides(b[:-2], shape)]
    return _Product(_merge(list(zip(shape, strides_a, strides_b))), left, right, 1.0, IDENTITY)


def _merge(axes: list[tuple[Dim, Dim, Dim]]) -> tuple[tuple[Dim, Dim, Dim], ...]:
    """Batch axes with neighbours joined that lie back to back in both operands."""
    merged: list[tuple[Dim, Dim, Dim]] = []
    for size, a, b in axes:
        if size == 1:
            continue
        if merged and merged[-1][1] == a * size and merged[-1][2] == b * size:
            merged[-1] = (merged[-1][0] * size, a, b)
        else:
            merged.append((size, a, b))
    return tuple(merged)


def _common_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = host_supports(node, builder)
    if reason is not None:
        return reason
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    kind = _describe(node).activation.kind
    if kind not in ACTIVATIONS or kind == "prelu":
        return f"the epilogue has no {kind}"
    return None


# ---- constant weights -----------------------------------------------------------------------------------------------


def _row_bias(node: Node, columns: int) -> Array | str | None:
    """beta * C as one float a column: the array, None for no C, or why not."""
    value = node.optional(2)
    if value is None or not isinstance(node.attrs, GemmAttrs):
        return None
    if value.array is None:
        return f"%{value.name} is not constant"
    if value.array.size not in (1, columns) or (value.array.ndim > 1 and value.array.shape[0] != 1):
        return f"%{value.name} is not one number a column"
    flat = np.asarray(value.array, np.float32).reshape(-1) * np.float32(node.attrs.beta)
    return np.ascontiguousarray(np.broadcast_to(flat, (columns,)))


def _constant_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _common_refusal(node, builder)
    if reason is not None:
        return reason
    weights = node.input(1)
    if weights.array is None or weights.array.ndim != 2:
        return "its second operand is not a constant matrix"
    if isinstance(node.attrs, GemmAttrs):
        bias = _row_bias(node, int(_columns(node)))
        return bias if isinstance(bias, str) else None
    return None


def _columns(node: Node) -> int:
    columns = _describe(node).b.columns
    assert isinstance(columns, int)
    return columns


def _rows(node: Node) -> Dim:
    """Rows of the product with a constant matrix: all batch axes are rows."""
    shape = node.input(0).type.shape
    if isinstance(node.attrs, GemmAttrs):
        return shape[1] if node.attrs.transA else shape[0]
    return product(shape[:-1])


def _constant_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    described = _describe(node)
    return rank_gemm_tilings(
        typical(_rows(node), 1),
        _columns(node),
        typical(described.b.rows),
        builder.target.lanes,
        count=count,
        wide=builder.numerics.wide_sums,
    )


def _emit_constant(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    described, weights = _describe(node), _weights(node)
    packed = pack_gemm(weights, builder.target.lanes, tiling.blocks, described.scale)
    steps = {"K": weights.shape[0], "a_column": described.a.column}
    _emit_packed(node, builder, tiling, "gemm.f32", packed, steps, builder.numerics.sum_params)


def _weights(node: Node) -> Array:
    """The constant matrix, [K, N]."""
    weights = node.input(1).array
    assert weights is not None
    return weights.T if isinstance(node.attrs, GemmAttrs) and node.attrs.transB else weights


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
    described, lanes, columns = _describe(node), builder.target.lanes, _columns(node)
    bias = _row_bias(node, columns)
    assert not isinstance(bias, str)
    bias = np.zeros(columns, np.float32) if bias is None else bias
    sizes: dict[str, Dim] = {"M": _rows(node), "N": columns, "a_row": described.a.row, **steps}
    sizes |= {"y_row": columns, "m_tiles": tiling.m_tiles, "n_tiles": tiling.n_tiles}
    buffers: dict[str, BufferArg | int] = {
        "a": builder.argument(node.input(0)),
        "b": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        "bias": BufferArg(builder.constant(bias, f"{node.name}.bias")),
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
    reason = _constant_refusal(node, builder)
    if reason is not None:
        return reason
    if typical(_rows(node), 1) > _FEW_ROWS:
        return f"it has more than {_FEW_ROWS} rows: computing takes the time, not reading the weights"
    if _weights(node).shape[0] % PAIR:
        return "its inner size is odd"
    return None if _describe(node).a.column == 1 else "its first operand is transposed"


def _bfloat_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    depth, columns = _weights(node).shape
    return rank_bfloat_gemm_tilings(typical(_rows(node), 1), columns, depth, builder.target.lanes, count)


def _emit_bfloat(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    weights = _weights(node)
    packed = pack_bfloat_gemm(weights, builder.target.lanes, tiling.blocks, _describe(node).scale)
    steps = {"K": weights.shape[0] // PAIR, "a_column": PAIR}
    _emit_packed(node, builder, tiling, "gemm.bf16", packed, steps, {"products": "bf16_weights"})


# ---- two run-time matrices ------------------------------------------------------------------------------------------


def _general_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _common_refusal(node, builder)
    if reason is not None:
        return reason
    described = _describe(node)
    if len(described.batch) > 2:
        return f"{len(described.batch)} separate batch axes, at most 2 are supported"
    bias = node.optional(2)
    if bias is None or not isinstance(node.attrs, GemmAttrs):
        return None
    if node.attrs.beta != 1 or bias.type.shape not in ((described.b.columns,), (1, described.b.columns)):
        return "its third operand is not one number a column, or is scaled"
    return None


def _general_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    described = _describe(node)
    sizes = (described.a.rows, described.b.columns, described.a.columns)
    rows, columns, depth = (typical(size) for size in sizes)
    wide = builder.numerics.wide_sums
    return rank_gemm_tilings(rows, columns, depth, builder.target.lanes, packs_b=True, count=count, wide=wide)


def _emit_general(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    described = _describe(node)
    a, b, lanes = described.a, described.b, builder.target.lanes
    outer, inner = ((1, 0, 0), (1, 0, 0), *described.batch)[-2:]
    matrix = a.rows * b.columns
    sizes: dict[str, Dim] = {"B0": outer[0], "B1": inner[0], "M": a.rows, "N": b.columns, "K": a.columns}
    sizes |= {"a_batch0": outer[1], "a_batch1": inner[1], "a_row": a.row, "a_column": a.column}
    sizes |= {"b_batch0": outer[2], "b_batch1": inner[2], "b_row": b.row, "b_column": b.column}
    sizes |= {"y_batch0": matrix * inner[0], "y_batch1": matrix, "y_row": b.columns}
    sizes |= {"m_tiles": tiling.m_tiles, "n_tiles": tiling.n_tiles, "scale": float_bits(described.scale)}
    bias = node.optional(2)
    buffers: dict[str, BufferArg | int] = {
        "a": builder.argument(node.input(0)),
        "b": builder.argument(node.input(1)),
        "bias": 0 if bias is None else builder.argument(bias),
    }
    buffers["y"] = builder.result(node.output)
    variant = Variant.of(
        "matmul.f32",
        rows=tiling.rows,
        blocks=tiling.blocks,
        activation=described.activation.kind,
        bias=int(bias is not None),
        lanes=lanes,
        **builder.numerics.sum_params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes | activation_bits(described.activation))])


_RULES = (
    TiledRule("gemm.bf16", GemmTiling, _bfloat_refusal, _bfloat_tilings, _emit_bfloat),
    TiledRule("gemm.f32", GemmTiling, _constant_refusal, _constant_tilings, _emit_constant),
    TiledRule("matmul.f32", GemmTiling, _general_refusal, _general_tilings, _emit_general),
)

RULES = {"gemm": _RULES, "matmul": _RULES}
