"""What a matrix product multiplies: sizes and strides of both operands, and of constant ones their content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import host_supports
from cnnc.ops.activation import IDENTITY, Activation
from cnnc.ops.linear import GemmAttrs
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.elementwise_tape import broadcast_strides
from cnnc.types import DType


@dataclass(frozen=True, slots=True)
class MatrixOperand:
    """Rows, columns and strides in elements of a matrix operand."""

    rows: Dim
    columns: Dim
    row: Dim
    column: Dim


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """A product of matrices: batch axes as (size, stride of a, of b), the two matrices, scale and activation."""

    batch: tuple[tuple[Dim, Dim, Dim], ...]
    a: MatrixOperand
    b: MatrixOperand
    scale: float
    activation: Activation


def describe(node: Node) -> MatrixProduct:
    """The product of a gemm or matmul."""
    a, b = node.input(0).type.shape, node.input(1).type.shape
    if isinstance(node.attrs, GemmAttrs):
        left = MatrixOperand(a[1], a[0], 1, a[1]) if node.attrs.transA else MatrixOperand(a[0], a[1], a[1], 1)
        right = MatrixOperand(b[1], b[0], 1, b[1]) if node.attrs.transB else MatrixOperand(b[0], b[1], b[1], 1)
        return MatrixProduct((), left, right, node.attrs.alpha, node.attrs.activation)
    a = a if len(a) > 1 else (1, *a)
    b = b if len(b) > 1 else (*b, 1)
    left, right = MatrixOperand(a[-2], a[-1], a[-1], 1), MatrixOperand(b[-2], b[-1], b[-1], 1)
    rank = max(len(a), len(b)) - 2
    shape = node.output.type.shape[:rank]
    scale_a, scale_b = a[-2] * a[-1], b[-2] * b[-1]
    strides_a = [stride * scale_a for stride in broadcast_strides(a[:-2], shape)]
    strides_b = [stride * scale_b for stride in broadcast_strides(b[:-2], shape)]
    return MatrixProduct(_merge(list(zip(shape, strides_a, strides_b))), left, right, 1.0, IDENTITY)


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


def common_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    """Why no kernel of floats computes the product."""
    reason = host_supports(node, builder)
    if reason is not None:
        return reason
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    kind = describe(node).activation.kind
    if kind not in ACTIVATIONS or kind == "prelu":
        return f"the epilogue has no {kind}"
    return None


def _bias_refusal(node: Node) -> str | None:
    value, columns = node.optional(2), columns_of(node)
    if value is None:
        return None
    if value.array is None:
        return f"%{value.name} is not constant"
    if value.array.size not in (1, columns) or (value.array.ndim > 1 and value.array.shape[0] != 1):
        return f"%{value.name} is not one number a column"
    return None


def constant_bias(node: Node) -> Array:
    """beta * C as one float a column, zeros where there is no C."""
    value, columns = node.optional(2), columns_of(node)
    if value is None or value.array is None or not isinstance(node.attrs, GemmAttrs):
        return np.zeros(columns, np.float32)
    flat = np.asarray(value.array, np.float32).reshape(-1) * np.float32(node.attrs.beta)
    return np.ascontiguousarray(np.broadcast_to(flat, (columns,)))


def constant_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    """Why no kernel with packed weights computes the product."""
    reason = common_refusal(node, builder)
    if reason is not None:
        return reason
    weights = node.input(1)
    if weights.array is None or weights.array.ndim != 2:
        return "its second operand is not a constant matrix"
    return _bias_refusal(node) if isinstance(node.attrs, GemmAttrs) else None


def columns_of(node: Node) -> int:
    """Columns of the product with a constant matrix."""
    columns = describe(node).b.columns
    assert isinstance(columns, int)
    return columns


def rows_of(node: Node) -> Dim:
    """Rows of the product with a constant matrix: all batch axes are rows."""
    shape = node.input(0).type.shape
    if isinstance(node.attrs, GemmAttrs):
        return shape[1] if node.attrs.transA else shape[0]
    return product(shape[:-1])


def constant_weights(node: Node) -> Array:
    """The constant matrix, [K, N]."""
    weights = node.input(1).array
    assert weights is not None
    return weights.T if isinstance(node.attrs, GemmAttrs) and node.attrs.transB else weights
