"""Max and average pools, blocked and plain, with or without indices."""

from __future__ import annotations

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import LoweringRule
from cnnc.ops.pool import PoolAttrs
from cnnc.ops.quantized import QLinearAveragePoolAttrs
from cnnc.ops.window import window_of
from cnnc.runtime.cpu import pool_plain_indices, pool_window
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    x, y = node.input(0).type, node.output.type
    if y.dtype is not DType.F32:
        return f"elements are {y.dtype.value}, not f32"
    if y.rank > 5:
        return f"it has {y.rank - 2} spatial axes, at most 3 are supported"
    if x.layout != y.layout:
        return "input and output have different layouts"
    if len(node.outputs) > 1 and (y.layout.is_blocked or y.rank < 3):
        return "indices are for plain tensors"
    return None


def pool_sizes(node: Node) -> dict[str, Dim]:
    """Size slots of a pool over the planes of its input."""
    x, y = node.input(0).type, node.output.type
    assert isinstance(node.attrs, (PoolAttrs, QLinearAveragePoolAttrs))
    window = window_of(node.attrs, x.shape[2:], node.attrs.kernel_shape)
    return pool_window.arguments(
        product(x.physical_shape[:2]),
        x.shape[2:],
        y.shape[2:],
        window.kernel,
        window.strides,
        window.dilations,
        window.begins,
        window.ends,
        bool(getattr(node.attrs, "count_include_pad", 0)),
    )


def _emit(node: Node, builder: ProgramBuilder) -> None:
    x, y = node.input(0).type, node.output.type
    kind = "max" if node.op == "max_pool" else "average"
    sizes = pool_sizes(node)
    buffers: dict[str, BufferArg | int] = {"x": builder.argument(node.input(0), gaps=True)}
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes |= {"image_planes": x.physical_shape[1]}
    sizes |= {"x_gap": builder.gap(node.input(0)), "y_gap": builder.gap(node.output)}
    if len(node.outputs) > 1:
        buffers["indices"] = builder.result(node.outputs[1])
        sizes = pool_plain_indices.arguments(sizes, bool(getattr(node.attrs, "storage_order", 0)))
        variant = Variant.of("pool.plain_indices")
    elif y.layout.is_blocked:
        variant = Variant.of("pool.blocked", kind=kind, lanes=y.layout.block)
    else:
        variant = Variant.of("pool.plain", kind=kind)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


_POOL = LoweringRule("pool", _refusal, _emit)

RULES = {"max_pool": (_POOL,), "average_pool": (_POOL,)}
