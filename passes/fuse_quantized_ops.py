"""fuse-quantized-ops: a float op between dequantize_linear and quantize_linear becomes its integer op.

Before::

    %a = dequantize_linear(%x, %x_scale, %x_zero)        x u8[N, C, H, W]
    %b = dequantize_linear(%w, %w_scale, %w_zero)        w i8[M, C, KH, KW], w_scale one or [M]
    %c = dequantize_linear(%bias, %bias_scale)           bias i32[M], bias_scale = x_scale * w_scale
    %d = conv(%a, %b, %c)
    %e = relu(%d)
    %y = quantize_linear(%e, %y_scale, %y_zero)

After::

    %q = q_linear_conv(%x, %x_scale, %x_zero, %w, %w_scale, %w_zero, %y_scale, %y_zero, %bias)
    %y = clip(%q, %y_zero)                               not there if y_zero is the least of its type

Fires when
1. conv, gemm, matmul (``quantized_layers``), conv_transpose (``quantized_conv_transpose``), add, mul, concat, mean
   over the spatial axes, average_pool, global_average_pool, leaky_relu or sigmoid (``quantized_pointwise``) reads
   dequantized tensors alone and is read by one quantize_linear: q_linear_conv, q_linear_gemm, ...;
2. an op that only moves, picks or clamps values stands between such an op and its quantize_linear, or between a
   dequantize_linear and what computes with integers (``quantized_moves``): it then works on the integers;
3. quantize_linear reads a dequantized tensor of equal scale, zero point and type: both go. Of others: requantize;
4. only element-wise ops over one dequantized tensor of bytes and constants of one element end in a quantize_linear:
   lookup, with a table of what they give for each byte (``quantized_functions``).

Scales and zero points are constant, positive and float32; activations have one in all, weights one in all or one an
output channel. A bias that is not stored in steps of x_scale * w_scale is rounded to them, if that moves the result by
1/64 of its step at most.

Must not fire when the float value is read elsewhere, is a graph output, or an operand is not quantized: what the float
arithmetic between would round cannot be told from integers.

Numerics: rounding. Sums are exact and rounded once, where float32 arithmetic between the two rounds many times and
takes another step near a tie. Results equal those of onnxruntime, which fuses the same ops when it optimises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Graph, Notes, rewrite
from cnnc.passes.base import Pass
from cnnc.passes.quantized_conv_transpose import CONV_TRANSPOSE_RULES
from cnnc.passes.quantized_functions import FUNCTION_RULES
from cnnc.passes.quantized_layers import LAYER_RULES
from cnnc.passes.quantized_moves import MOVE_RULES
from cnnc.passes.quantized_pointwise import POINTWISE_RULES


@dataclass(frozen=True)
class FuseQuantizedOps(Pass):
    """dequantize_linear -> op -> quantize_linear becomes an op on integers."""

    name: ClassVar[str] = "fuse-quantized-ops"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return (
            rewrite(graph, (*MOVE_RULES, *LAYER_RULES, *CONV_TRANSPOSE_RULES, *POINTWISE_RULES, *FUNCTION_RULES), notes)
            > 0
        )
