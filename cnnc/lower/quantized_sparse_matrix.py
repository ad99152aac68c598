"""q_linear_gemm and q_linear_matmul with constant weights that are mostly zeros, four of them a word.

A word is kept where any of its four neighbours along K is not zero.
"""

from __future__ import annotations

from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.quantized_matrix import byte_refusal, byte_rows, matrix_layer, whole_words
from cnnc.lower.sparse_matrix import SparseOperands, SparseProducts
from cnnc.ops.quantized_layer import QuantizedLayer
from cnnc.runtime.cpu.gemm_sparse_packing import byte_words
from cnnc.runtime.program import BufferArg


def _layer(node: Node, builder: ProgramBuilder) -> QuantizedLayer:
    return builder.once(("bytes", node), lambda: matrix_layer(node))


def _words(node: Node, builder: ProgramBuilder) -> Array:
    return builder.once(("words", node), lambda: byte_words(_layer(node, builder).weights.T))


def _operands(node: Node, builder: ProgramBuilder) -> SparseOperands:
    layer = _layer(node, builder)
    calls, rows = whole_words(node, builder, layer.weights.shape[1])
    return SparseOperands(
        {
            "a": rows,
            "bias": BufferArg(builder.constant(layer.bias, f"{node.name}.bias")),
            "slopes": BufferArg(builder.constant(layer.factors, f"{node.name}.factors")),
        },
        {"a_row": _words(node, builder).shape[0], "alpha": layer.y_zero, "beta": layer.y_least},
        {"activation": "requantize", "element": node.input(0).type.dtype.value},
        tuple(calls),
    )


BYTES = SparseProducts("gemm.u8", byte_refusal, _words, byte_rows, _operands)
_RULES = (BYTES.lists(), BYTES.masks())

RULES = {"q_linear_gemm": _RULES, "q_linear_matmul": _RULES}
