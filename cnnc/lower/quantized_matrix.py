"""q_linear_gemm and q_linear_matmul of plain bytes with a constant matrix, four steps of the depth at a time.

Rows of another depth are copied to where a whole number of words has room; weights of zero meet what lies behind them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, product, round_up
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cost import cost_with_weights
from cnnc.lower.movement import Copy, copy_call
from cnnc.lower.rules import TiledRule, host_supports
from cnnc.lower.spatial import typical
from cnnc.ops.quantized_layer import QuantizedLayer, quantized_matrix
from cnnc.runtime.cpu.conv_packing import QUAD
from cnnc.runtime.cpu.gemm import pack_byte_gemm
from cnnc.runtime.cpu.gemm_tiling import GemmTiling, rank_gemm_tilings
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call


def matrix_layer(node: Node) -> QuantizedLayer:
    """The constants of a node that ``byte_refusal`` does not refuse."""
    layer = quantized_matrix(node)
    assert isinstance(layer, QuantizedLayer)
    return layer


def byte_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    """Why no kernel of bytes computes the product."""
    reason = host_supports(node, builder)
    if reason is not None:
        return reason
    layer = quantized_matrix(node)
    if isinstance(layer, str):
        return layer
    return None if layer.weights.shape[1] else "it has nothing to sum"


def byte_rows(node: Node) -> Dim:
    """Rows of the product: all batch axes are rows."""
    return product(node.input(0).type.shape[:-1])


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    columns, depth = matrix_layer(node).weights.shape
    words = -(-depth // QUAD)
    ranked = rank_gemm_tilings(typical(byte_rows(node), 1), columns, words, builder.target.lanes, count=count)
    return [(cost_with_weights(cost, columns * words * 4, builder), tiling) for cost, tiling in ranked]


def _emit(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    layer, lanes = matrix_layer(node), builder.target.lanes
    columns, depth = layer.weights.shape
    words = -(-depth // QUAD)
    padded = np.zeros((words * QUAD, columns), np.int8)
    padded[:depth] = layer.weights.T
    packed = pack_byte_gemm(padded, lanes, tiling.blocks)
    calls, rows = whole_words(node, builder, depth)
    sizes: dict[str, Dim] = {"M": byte_rows(node), "N": columns, "K": words, "a_row": words, "a_column": 1}
    sizes |= {"y_row": columns, "m_tiles": tiling.m_tiles, "n_tiles": tiling.n_tiles}
    sizes |= {"alpha": layer.y_zero, "beta": layer.y_least}
    buffers: dict[str, BufferArg | int] = {
        "a": rows,
        "b": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        "bias": BufferArg(builder.constant(layer.bias, f"{node.name}.bias")),
        "residual": 0,
        "slopes": BufferArg(builder.constant(layer.factors, f"{node.name}.factors")),
    }
    buffers["y"] = builder.result(node.output)
    variant = Variant.of(
        "gemm.u8",
        rows=tiling.rows,
        blocks=tiling.blocks,
        activation="requantize",
        residual=0,
        lanes=lanes,
        element=node.input(0).type.dtype.value,
    )
    builder.kernel_step(node, [*calls, builder.call(variant, buffers, sizes)])


def whole_words(node: Node, builder: ProgramBuilder, depth: int) -> tuple[list[Call], BufferArg]:
    """The first matrix with rows of whole words, and the copy that makes them where they are none."""
    if depth % QUAD == 0:
        return [], builder.argument(node.input(0))
    count, room = byte_rows(node), round_up(depth, QUAD)
    copied = BufferArg(builder.temporary(f"{node.name}.rows", count * room))
    copy = Copy(node.input(0), (count, depth), (depth, 1), (room, 1))
    return [copy_call(builder, copy, copied, 1)], copied


_RULES = (TiledRule("gemm.u8", GemmTiling, byte_refusal, _tilings, _emit, reads_weights=True),)

RULES = {"q_linear_gemm": _RULES, "q_linear_matmul": _RULES}
