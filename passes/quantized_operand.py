"""What stands on both sides of an op in a quantized graph: a stored integer, its scale and its zero point.

Only constant positive float32 scales count (a float16 scale would mean rounding to float16 on the way).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.ir import Node, Patch, Value, known_array
from cnnc.types import DType

Float64 = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Quantized:
    """real = scale * (stored - zero_point).

    Attributes:
        node: the dequantize_linear or quantize_linear that says so.
        stored: the integer tensor; for a quantize_linear, its result.
        scale: as an operand, one element or one for each index of ``axis``.
        zero_point: as an operand; None stands for 0.
    """

    node: Node
    stored: Value
    scale: Value
    zero_point: Value | None
    axis: int

    @property
    def dtype(self) -> DType:
        return self.stored.type.dtype

    @property
    def scales(self) -> Float64:
        """The scale in float64: one element, or a vector."""
        array = known_array(self.scale)
        assert array is not None  # read_operand and read_result see to it
        return array.astype(np.float64).reshape(-1)

    @property
    def is_per_tensor(self) -> bool:
        zero_point = self.zero_point
        return self.scales.size == 1 and (zero_point is None or zero_point.type.shape in ((), (1,)))

    @property
    def offset(self) -> int:
        """The zero point of a tensor that has a single one."""
        array = None if self.zero_point is None else known_array(self.zero_point)
        return 0 if array is None else int(array.reshape(-1)[0])

    def triple(self, patch: Patch) -> tuple[Value, Value, Value]:
        """Stored tensor, scale and zero point, as q_linear ops take them."""
        return self.stored, *self.pair(patch)

    def pair(self, patch: Patch) -> tuple[Value, Value]:
        """Scale and zero point."""
        zero_point = self.zero_point
        if zero_point is None:
            zeros = np.zeros_like(known_array(self.scale), self.dtype.numpy)
            zero_point = patch.constant(zeros, f"{self.stored.name}.zero_point")
        return self.scale, zero_point

    def is_like(self, other: Quantized) -> bool:
        """Whether the same integer means the same number on both sides."""
        return (
            self.dtype is other.dtype
            and self.is_per_tensor
            and other.is_per_tensor
            and self.offset == other.offset
            and bool((self.scales == other.scales).all())
        )


def is_dequantized(value: Value) -> bool:
    """Whether a dequantize_linear made the value."""
    return value.producer is not None and value.producer.op == "dequantize_linear"


def read_operand(value: Value, *, axis: int | None = None) -> Quantized | str:
    """The stored integers behind a dequantized operand, or why there are none.

    Args:
        value: an operand of a float op.
        axis: the axis along which scales may differ; None for one scale in all.
    """
    node = value.producer
    if node is None or not is_dequantized(value):
        return f"%{value.name} is no dequantized tensor"
    return _read(node, node.input(0), axis)


def read_result(node: Node) -> Quantized | str:
    """What ``node``, a quantize_linear with one scale in all, stores; or why it is of another kind."""
    attrs: Any = node.attrs
    if attrs.precision not in (None, DType.F32):
        return f"quantize_linear {node.name!r} divides in {attrs.precision.value}"
    return _read(node, node.output, None)


def _read(node: Node, stored: Value, axis: int | None) -> Quantized | str:
    attrs: Any = node.attrs
    scale, zero_point = node.input(1), node.optional(2)
    if attrs.block_size:
        return f"{node.op} {node.name!r} has a scale for each block of {attrs.block_size}"
    scales = known_array(scale)
    if scales is None or (zero_point is not None and known_array(zero_point) is None):
        return f"the scale or zero point of {node.op} {node.name!r} is computed"
    floats = {value.type.dtype for value in (scale, node.input(0), node.output) if value.type.dtype.is_float}
    if floats != {DType.F32}:
        return f"{node.op} {node.name!r} rounds to another float than f32"
    reals = scales.astype(np.float64)
    if not (np.isfinite(reals) & (reals > 0)).all():
        return f"{node.op} {node.name!r} has a scale that is not positive"
    rank = node.input(0).type.rank
    found = Quantized(node, stored, scale, zero_point, attrs.axis % max(rank, 1))
    if not found.is_per_tensor and found.axis != axis:
        where = "no axis" if axis is None else f"axis {axis}"
        return f"{node.op} {node.name!r} has scales along axis {found.axis}, the integer op takes them along {where}"
    if not found.is_per_tensor and zero_point is not None and zero_point.type.shape != scale.type.shape:
        return f"{node.op} {node.name!r} has {scale.type} scales and {zero_point.type} zero points"
    return found
