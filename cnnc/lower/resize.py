"""Nearest and linear resizing: a table of places and weights per axis, then one pass over the rows of the result."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import LoweringRule
from cnnc.ops.quantized_operands import BYTES
from cnnc.ops.resize import ResizeAttrs
from cnnc.runtime.cpu import resize_axes, resize_table
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType


@dataclass(frozen=True, slots=True)
class _Axis:
    """One spatial axis: lengths before and after, and the given scale (0.0: their ratio)."""

    length: Dim
    size: Dim
    scale: float

    @property
    def stays(self) -> bool:
        """Whether every element keeps its place."""
        return self.length == self.size and self.scale in (0.0, 1.0)


def _attrs(node: Node) -> ResizeAttrs:
    assert isinstance(node.attrs, ResizeAttrs)
    return node.attrs


def _axes(node: Node) -> list[_Axis] | str:
    """Every axis of the tensor, batch and channels too, or why the scales are not known."""
    x, y = node.input(0).type.shape, node.output.type.shape
    scales = [0.0] * len(x)
    given = node.optional(2)
    if given is not None and given.type.shape != (0,):
        array = given.fact.array
        if array is None:
            return f"%{given.name} is only known at run time"
        chosen = _attrs(node).axes or tuple(range(len(x)))
        for axis, scale in zip(chosen, array.reshape(-1).tolist()):
            scales[axis % len(x)] = float(scale)
    return [_Axis(length, size, scale) for length, size, scale in zip(x, y, scales)]


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    attrs, x, y = _attrs(node), node.input(0).type, node.output.type
    if y.dtype in BYTES and attrs.mode != "nearest":
        return "bytes are not interpolated"
    if y.dtype not in (DType.F32, *BYTES):
        return f"elements are {y.dtype.value}, neither f32 nor bytes"
    if x.layout != y.layout:
        return "input and output have different layouts"
    if not 3 <= y.rank <= 5:
        return f"it has rank {y.rank}, supported are 3 to 5"
    return resize_refusal(attrs) or _axes_refusal(node)


def resize_refusal(attrs: ResizeAttrs) -> str | None:
    """What the kernels do not compute, by attributes alone."""
    if attrs.mode == "cubic" or attrs.antialias:
        return "cubic and antialiased resizing run on the host"
    if attrs.coordinate_transformation_mode not in resize_table.COORDINATES:
        return f"coordinates {attrs.coordinate_transformation_mode} run on the host"
    if attrs.keep_aspect_ratio_policy != "stretch":
        return f"policy {attrs.keep_aspect_ratio_policy} runs on the host"
    return None


def _axes_refusal(node: Node) -> str | None:
    axes = _axes(node)
    if isinstance(axes, str):
        return axes
    return None if all(axis.stays for axis in axes[:2]) else "it resizes batch or channels"


def _emit(node: Node, builder: ProgramBuilder) -> None:
    attrs, x, y = _attrs(node), node.input(0).type, node.output.type
    axes = _axes(node)
    assert not isinstance(axes, str)
    linear = attrs.mode == "linear"
    source = builder.argument(node.input(0), gaps=True)
    buffers: dict[str, BufferArg | int] = {"x": source, "table_d": 0, "table_h": 0, "table_w": 0}
    calls = []
    taps: list[int] = []
    for name, axis in zip("dhw"[5 - y.rank :], axes[2:]):
        if axis.stays:
            taps.append(0)
            continue
        table = BufferArg(builder.temporary(f"{node.name}.{name}", axis.size * resize_table.ENTRY_BYTES))
        interpolation = "linear" if linear else attrs.nearest_mode
        sizes = resize_table.arguments(
            axis.length, axis.size, _double_bits(axis.scale), attrs.coordinate_transformation_mode, interpolation
        )
        calls.append(builder.call(Variant.of("resize.table"), {"y": table}, sizes))
        buffers[f"table_{name}"] = table
        taps.append(2 if linear else 1)
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes = resize_axes.arguments(product(x.physical_shape[:2]), x.shape[2:], y.shape[2:], taps)
    sizes |= {"image_planes": x.physical_shape[1]}
    sizes |= {"x_gap": builder.gap(node.input(0)), "y_gap": builder.gap(node.output)}
    if y.dtype in BYTES:
        variant = Variant.of("resize.bytes", lanes=y.layout.block if y.layout.is_blocked else 1)
    elif y.layout.is_blocked:
        variant = Variant.of("resize.blocked", lanes=y.layout.block)
    else:
        variant = Variant.of("resize.plain")
    builder.kernel_step(node, [*calls, builder.call(variant, buffers, sizes)])


def _double_bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


RULES = {"resize": (LoweringRule("resize", _refusal, _emit),)}
