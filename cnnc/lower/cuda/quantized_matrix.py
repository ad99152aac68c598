"""q_linear_gemm and q_linear_matmul of plain bytes with a constant matrix, on GPUs.

Rows whose depth is no whole number of steps are copied to where it is; weights of zero meet what lies behind them.
"""

from __future__ import annotations

from cnnc.dims import Dim, round_up
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cuda.quantized_conv import signed_bias
from cnnc.lower.movement import Copy, copy_call
from cnnc.lower.quantized_matrix import byte_refusal, byte_rows, matrix_layer
from cnnc.lower.rules import LoweringRule
from cnnc.lower.spatial import typical
from cnnc.runtime.cuda.gemm_bytes import STEP, pack_columns
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call

_NAME = "gemm.u8.warps"
_FEW = 1
_TILE = 4


def _rows(node: Node, builder: ProgramBuilder, depth: int) -> tuple[list[Call], BufferArg]:
    """The first matrix with rows of whole steps, and the copy that makes them where they are none."""
    given = builder.argument(node.input(0))
    if depth % STEP == 0 and isinstance(given.offset, int) and given.offset % STEP == 0:
        return [], given
    count, room = byte_rows(node), round_up(depth, STEP)
    copied = BufferArg(builder.temporary(f"{node.name}.rows", count * room))
    return [copy_call(builder, Copy(node.input(0), (count, depth), (depth, 1), (room, 1)), copied, 1)], copied


def _emit(node: Node, builder: ProgramBuilder) -> None:
    layer, element = matrix_layer(node), node.input(0).type.dtype
    columns, depth = layer.weights.shape
    calls, rows = _rows(node, builder, depth)
    sizes: dict[str, Dim] = {"M": byte_rows(node), "N": columns, "K": -(-depth // STEP)}
    sizes |= {"a_row": round_up(depth, STEP), "y_row": columns, "y_zero": layer.y_zero, "y_least": layer.y_least}
    buffers: dict[str, BufferArg | int] = {
        "a": rows,
        "b": BufferArg(builder.constant(pack_columns(layer.weights), f"{node.name}.weights")),
        "bias": BufferArg(builder.constant(signed_bias(layer, element), f"{node.name}.bias")),
        "factors": BufferArg(builder.constant(layer.factors, f"{node.name}.factors")),
    }
    buffers["y"] = builder.result(node.output)
    # One row streams the weights; more rows share them, and the columns of a warp share the rows.
    tile = (_FEW, 2 * _FEW) if typical(byte_rows(node), 1) == _FEW else (_TILE, _TILE)
    variant = Variant.of(_NAME, rows=tile[0], columns=tile[1], element=element.value)
    builder.kernel_step(node, [*calls, builder.call(variant, buffers, sizes)])


_RULES = (LoweringRule(_NAME, byte_refusal, _emit),)

RULES = {"q_linear_gemm": _RULES, "q_linear_matmul": _RULES}
