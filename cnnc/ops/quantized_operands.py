"""Constants of ops on bytes that stand for real numbers: scales and zero points, as kernels take them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from cnnc.ir import Node
from cnnc.ops.quantized import QLinearAveragePoolAttrs
from cnnc.runtime.cpu.byte_global_average import MOST_POSITIONS
from cnnc.types import DType

BYTES = (DType.U8, DType.I8)
LARGEST = 1e30
"""Ratios of scales below it leave room for sums of products with bytes in float32."""


@dataclass(frozen=True, slots=True)
class Scale:
    """real = scale * (stored - zero)."""

    scale: np.float32
    zero: int


def constant_scale(node: Node, position: int, dtype: DType) -> Scale | str:
    """The scale at ``position`` and the zero point behind it, one each, of a tensor of ``dtype``; or why not."""
    scale, zero = node.optional(position), node.optional(position + 1)
    if scale is None or scale.array is None or (zero is not None and zero.array is None):
        return "its scales and zero points are not constant"
    if scale.array.size != 1 or (zero is not None and zero.array is not None and zero.array.size != 1):
        return "its scale is not one for the whole tensor"
    if scale.array.dtype != np.float32:
        return "its scales are not float32"
    if dtype not in BYTES:
        return f"elements are {dtype.value}, not bytes"
    value = np.float32(scale.array.reshape(()))
    if not (0 < value < LARGEST):
        return f"its scale is {value}"
    return Scale(value, 0 if zero is None or zero.array is None else int(zero.array.reshape(())))


@dataclass(frozen=True, slots=True)
class Elementwise:
    """An op of ``byte.elementwise``: its kind, and the arguments that it has for this node (0 where unused).

    Attributes:
        data: positions of the operands a and, for a sum or a product, b.
        spread: "" where they have the result's shape; "gate" where b has one element a channel of an image, which
            stands for all positions; "any" where they broadcast in another way.
    """

    kind: str
    data: tuple[int, ...] = (0,)
    spread: str = ""
    a_scale: float = 0.0
    a_zero: int = 0
    b_scale: float = 0.0
    b_zero: int = 0
    addend: float = 0.0
    y_scale: float = 0.0
    y_zero: int = 0


def byte_elementwise(node: Node) -> Elementwise | str:
    """The kernel's arguments for an element-wise op on bytes, or why it does not compute the op."""
    make = _MAKERS.get(node.op)
    return f"there is no kernel for {node.op} on bytes" if make is None else make(node)


def _quantize(node: Node) -> Elementwise | str:
    if node.input(0).type.dtype is not DType.F32 or getattr(node.attrs, "precision", None) is not None:
        return "it does not divide float32 by float32"
    y = constant_scale(node, 1, node.output.type.dtype)
    return y if isinstance(y, str) else Elementwise("quantize", y_scale=float(y.scale), y_zero=y.zero)


def _dequantize(node: Node) -> Elementwise | str:
    if node.output.type.dtype is not DType.F32:
        return "its result is not float32"
    x = constant_scale(node, 1, node.input(0).type.dtype)
    return x if isinstance(x, str) else Elementwise("dequantize", a_scale=float(x.scale), a_zero=x.zero)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The operands of a sum or product with their scales, the gate behind what it gates, and the result's scale."""

    data: tuple[int, int]
    spread: str
    a: Scale
    b: Scale
    c: Scale


def _sides(node: Node, may_swap: bool) -> _Sides | str:
    scales = [constant_scale(node, place, node.output.type.dtype) for place in (1, 4, 6)]
    reasons = [scale for scale in scales if isinstance(scale, str)]
    if reasons:
        return reasons[0]
    a, b, c = (scale for scale in scales if isinstance(scale, Scale))
    shape = node.output.type.shape
    shapes = [node.input(position).type.shape for position in (0, 3)]
    gate = (*shape[:2], *[1] * (len(shape) - 2))
    if shapes == [shape, shape]:
        return _Sides((0, 3), "", a, b, c)
    if shapes == [shape, gate]:
        return _Sides((0, 3), "gate", a, b, c)
    if shapes == [gate, shape] and may_swap:
        return _Sides((3, 0), "gate", b, a, c)
    return _Sides((0, 3), "any", a, b, c)


def _add(node: Node) -> Elementwise | str:
    sides = _sides(node, may_swap=False)  # the sum of products is not the same in another order
    if isinstance(sides, str):
        return sides
    a, b, c = sides.a, sides.b, sides.c
    with np.errstate(over="ignore"):
        a_step, b_step = a.scale / c.scale, b.scale / c.scale
    if max(a_step, b_step) >= LARGEST:
        return "the ratio of its scales is too large"
    # In the order in which the reference joins them.
    offset = -(a_step * np.float32(a.zero) + b_step * np.float32(b.zero))
    addend = np.float32(c.zero) + offset
    return Elementwise(
        "add",
        sides.data,
        sides.spread,
        a_scale=float(a_step),
        b_scale=float(b_step),
        addend=float(addend),
        y_zero=c.zero,
    )


def _mul(node: Node) -> Elementwise | str:
    sides = _sides(node, may_swap=True)
    if isinstance(sides, str):
        return sides
    with np.errstate(over="ignore"):
        step = sides.a.scale * sides.b.scale / sides.c.scale
    if not step < LARGEST:
        return "the ratio of its scales is too large"
    return Elementwise(
        "mul",
        sides.data,
        sides.spread,
        a_scale=float(step),
        a_zero=sides.a.zero,
        b_zero=sides.b.zero,
        y_zero=sides.c.zero,
    )


_MAKERS = {
    "quantize_linear": _quantize,
    "dequantize_linear": _dequantize,
    "q_linear_add": _add,
    "q_linear_mul": _mul,
}


def average_scales(node: Node) -> tuple[Scale, Scale] | str:
    """The scales of x and y of a q_linear average pool with one scale each, or why there is no kernel."""
    if getattr(node.attrs, "channels_last", 0):
        return "its channels come last"
    x, y = constant_scale(node, 1, node.output.type.dtype), constant_scale(node, 3, node.output.type.dtype)
    if isinstance(x, str) or isinstance(y, str):
        return x if isinstance(x, str) else str(y)
    sizes = node.input(0).type.shape[2:]
    if isinstance(node.attrs, QLinearAveragePoolAttrs):
        sizes = node.attrs.kernel_shape
    if prod(size if isinstance(size, int) else MOST_POSITIONS + 1 for size in sizes) > MOST_POSITIONS:
        return "it adds up too many elements for sums of 32 bits, or their number is not known"
    return x, y
