"""Lowering for GPUs. Kernels that have a CPU kernel's name and contract are reached by the CPU's rules; convolutions,
matrix products and chains have rules of their own here.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.lower import layouts, movement, normalization, pool, quantized, quantized_pool, reduction, resize, views
from cnnc.lower.cuda import (
    conv,
    conv_depthwise,
    conv_grouped,
    conv_plain_input,
    conv_sparse,
    conv_tensor,
    conv_transpose,
    conv_transpose_grouped,
    conv_winograd,
    elementwise,
    matrix,
    matrix_tensor,
    quantized_conv,
    quantized_matrix,
    sparse_matrix,
)
from cnnc.lower.rules import Rule, joined

RULES: Mapping[str, tuple[Rule, ...]] = joined(
    views.RULES,
    layouts.RULES,
    movement.RULES,
    elementwise.RULES,
    conv_depthwise.RULES,
    conv_grouped.RULES,
    conv.RULES,
    conv_plain_input.RULES,
    conv_winograd.RULES,
    conv_tensor.RULES,
    conv_sparse.RULES,
    conv_transpose_grouped.RULES,
    conv_transpose.RULES,
    quantized.RULES,
    quantized_conv.RULES,
    quantized_matrix.RULES,
    pool.RULES,
    quantized_pool.RULES,
    matrix.RULES,
    sparse_matrix.RULES,
    matrix_tensor.RULES,
    resize.RULES,
    reduction.RULES,
    normalization.RULES,
)
"""Op -> rules in order of preference."""
