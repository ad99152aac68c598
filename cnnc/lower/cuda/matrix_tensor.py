"""Matrix products with constant weights on tensor cores, where the precision of the program allows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cuda.alignment import in_quads
from cnnc.lower.cuda.tensor_cores import tensor_refusal, weights_refusal
from cnnc.lower.matrix_operands import (
    columns_of,
    constant_bias,
    constant_refusal,
    constant_weights,
    describe,
    rows_of,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cuda.conv_packing import InputBlocks
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.gemm_mma import NAME, padded_bias
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.tensor_tiling import TensorProduct, TensorTiling, rank_tensor_tilings
from cnnc.runtime.cuda.warp_tile import pack_fragments, tile_params
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_SUM_SPLITS = "gemm.f32.sum_splits"


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = tensor_refusal(builder) or constant_refusal(node, builder)
    if reason is not None:
        return reason
    described = describe(node)
    if described.a.column != 1:
        return "its first operand is transposed"
    if not in_quads(builder.argument(node.input(0)), described.a.columns, described.a.row):
        return "its first operand cannot be read by quads: its rows are no multiples of 16 bytes"
    return weights_refusal(constant_weights(node), builder, described.scale)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, TensorTiling]]:
    depth, columns = constant_weights(node).shape
    rows = typical(rows_of(node), 1)
    sizes = TensorProduct(1, rows, columns, -(-depth // LANES), 1, 4 * rows * depth)
    return rank_tensor_tilings(sizes, builder.numerics.precision, facts_of(builder.target), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: TensorTiling) -> None:
    described, weights, tile = describe(node), constant_weights(node), tiling.tile(builder.numerics.precision)
    rows, columns, is_split = rows_of(node), columns_of(node), tiling.splits > 1
    scaled = np.asarray(weights, np.float32).T * np.float32(described.scale)
    packed = pack_fragments(scaled, InputBlocks(tuple(range(weights.shape[0])), 1), tile)
    padded = padded_bias(np.asarray(constant_bias(node), np.float32))
    bias = BufferArg(builder.constant(padded, f"{node.name}.bias"))
    a = builder.argument(node.input(0))
    y = builder.result(node.output)
    sums = y
    if is_split:
        sums = BufferArg(builder.temporary(f"{node.name}.sums", 4 * tiling.splits * product((rows, columns))))
    kind: dict[str, int | str] = {"activation": described.activation.kind}
    quads = int(in_quads(sums, columns))
    variant = Variant.of(
        NAME,
        **tile_params(tile),
        quads=quads,
        partial=int(is_split),
        **({"activation": "none"} if is_split else kind),
    )
    sizes: dict[str, Dim] = {"M": rows, "N": columns, "splits": tiling.splits}
    sizes |= activation_bits(described.activation)
    buffers: dict[str, BufferArg | int] = {
        "y": sums,
        "a": a,
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        "bias": bias,
    }
    inner: dict[str, Dim] = {"K": weights.shape[0], "a_row": described.a.row}
    calls = [builder.call(variant, buffers, sizes | inner)]
    if is_split:
        calls.append(builder.call(Variant.of(_SUM_SPLITS, **kind), {"y": y, "sums": sums, "bias": bias}, sizes))
    builder.kernel_step(node, calls)


_RULES = (TiledRule(NAME, TensorTiling, _refusal, _tilings, _emit, reads_weights=True),)

RULES = {"gemm": _RULES, "matmul": _RULES}
