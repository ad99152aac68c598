"""Receptive fields: how many input pixels per spatial axis an element of a tensor depends on at most.

With ``size`` the receptive field and ``step`` the distance in input pixels between neighbours of the tensor, a window
of ``k`` elements with stride ``s`` gives size + (k - 1) * step and step * s (Araujo et al., "Computing Receptive Fields
of Convolutional Neural Networks", Distill 2019). Where branches meet, the larger one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cnnc.ir import Graph, Node, Value


@dataclass(frozen=True, slots=True)
class Field:
    """Size and step per spatial axis, in input pixels."""

    size: tuple[Fraction, ...]
    step: tuple[Fraction, ...]

    def __str__(self) -> str:
        sizes = [str(-(-size.numerator // size.denominator)) for size in self.size]
        return sizes[0] if len(set(sizes)) == 1 else "x".join(sizes)


WHOLE = "all"
"""Every input element counts: behind a global pool or a fully connected layer."""

UNKNOWN = "?"
"""Behind ops that move elements freely."""

FieldText = Field | str

_WEIGHTS = {"conv": 1, "conv_integer": 1, "q_linear_conv": 3, "conv_transpose": 1}
"""Operand that holds the weights, whose shape is the window where the attributes do not give it."""

_POOLS = frozenset({"max_pool", "average_pool", "lp_pool", "q_linear_average_pool"})

_LOCAL = frozenset(
    {
        "batch_normalization",
        "channel_shuffle",
        "concat",
        "convert_layout",
        "dequantize_linear",
        "dropout",
        "lrn",
        "pad",
        "q_linear_add",
        "q_linear_concat",
        "q_linear_leaky_relu",
        "q_linear_mul",
        "q_linear_sigmoid",
        "quantize_linear",
        "scale_shift",
        "slice",
        "split",
    }
)
"""Ops without a window, element-wise ones aside: an element depends on elements at its own place."""

_GLOBAL = ("global_", "reduce_", "q_linear_global_", "gemm", "matmul", "einsum", "instance_norm", "group_norm")

_SHAPES_ONLY = frozenset({"shape", "size", "dims"})
"""Ops that look at shapes, not at elements."""

_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}


def receptive_fields(graph: Graph) -> Mapping[Value, FieldText]:
    """The receptive field of every value that depends on an input."""
    fields: dict[Value, FieldText] = {}
    for value in graph.inputs:
        axes = value.type.rank - 2
        fields[value] = Field((Fraction(1),) * axes, (Fraction(1),) * axes) if axes >= 1 else UNKNOWN
    for node in graph.nodes:
        sources = [fields[value] for value in node.inputs if value is not None and value in fields]
        if not sources or node.op in _SHAPES_ONLY:
            continue
        field = _behind(node, sources, fields)
        fields |= dict.fromkeys(node.outputs, field)
    return fields


def _behind(node: Node, sources: Sequence[FieldText], fields: Mapping[Value, FieldText]) -> FieldText:
    if node.op.startswith(_GLOBAL) or WHOLE in sources:
        return WHOLE
    joined = _joined(sources)
    if isinstance(joined, str):
        return joined
    attrs: Any = node.attrs
    axes = len(joined.size)
    if node.op in _WEIGHTS or node.op in _POOLS:
        kernel = _kernel(node, axes)
        strides = tuple(attrs.strides) or (1,) * axes
        dilations = tuple(getattr(attrs, "dilations", ())) or (1,) * axes
        if kernel is None or len(strides) != axes or len(dilations) != axes:
            return UNKNOWN
        if node.op == "conv_transpose":
            return _spread(joined, kernel, strides)
        return _windowed(joined, kernel, strides, dilations)
    if node.op == "resize":
        return _resized(node, joined)
    if node.op == "depth_to_space":
        return Field(joined.size, tuple(step / attrs.blocksize for step in joined.step))
    if node.op == "space_to_depth":
        return _windowed(joined, (attrs.blocksize,) * axes, (attrs.blocksize,) * axes, (1,) * axes)
    is_local = node.op in _LOCAL or _is_elementwise(node)
    return joined if is_local and node.output.type.rank == axes + 2 else UNKNOWN


def _is_elementwise(node: Node) -> bool:
    from cnnc.ops import OPS

    return OPS[node.op].elementwise


def _joined(sources: Sequence[FieldText]) -> FieldText:
    known = [source for source in sources if isinstance(source, Field)]
    if len(known) < len(sources) or len({len(source.size) for source in known}) != 1:
        return UNKNOWN
    sizes = tuple(max(column) for column in zip(*(source.size for source in known), strict=True))
    return Field(sizes, tuple(max(column) for column in zip(*(source.step for source in known), strict=True)))


def _kernel(node: Node, axes: int) -> tuple[int, ...] | None:
    attrs: Any = node.attrs
    kernel = tuple(getattr(attrs, "kernel_shape", ()))
    if not kernel and node.op in _WEIGHTS:
        kernel = tuple(node.input(_WEIGHTS[node.op]).type.shape[2:])
    return kernel if len(kernel) == axes and all(isinstance(size, int) for size in kernel) else None


def _windowed(field: Field, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Field:
    size = tuple(
        old + (taps - 1) * dilation * step
        for old, step, taps, dilation in zip(field.size, field.step, kernel, dilations, strict=True)
    )
    return Field(size, tuple(step * stride for step, stride in zip(field.step, strides, strict=True)))


def _spread(field: Field, kernel: Sequence[int], strides: Sequence[int]) -> Field:
    """A transposed convolution: an output element is reached by ceil(k / s) input elements."""
    size = tuple(
        old + (-(-taps // stride) - 1) * step
        for old, step, taps, stride in zip(field.size, field.step, kernel, strides, strict=True)
    )
    return Field(size, tuple(step / stride for step, stride in zip(field.step, strides, strict=True)))


def _resized(node: Node, field: Field) -> FieldText:
    attrs: Any = node.attrs
    before, after = node.input(0).type.shape[2:], node.output.type.shape[2:]
    scales = []
    for old, new in zip(before, after, strict=False):
        if not (isinstance(old, int) and isinstance(new, int) and old and new):
            return UNKNOWN
        scales.append(Fraction(new, old))
    if len(scales) != len(field.size):
        return UNKNOWN
    taps = _TAPS.get(attrs.mode, 1)
    size = tuple(old + (taps - 1) * step for old, step in zip(field.size, field.step, strict=True))
    return Field(size, tuple(step / scale for step, scale in zip(field.step, scales, strict=True)))
