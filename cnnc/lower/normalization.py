"""Instance, group and layer normalization, and local response normalization."""

from __future__ import annotations

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import LoweringRule, host_supports
from cnnc.lower.spatial import channel_lanes, float_bits
from cnnc.ops.normalization import GroupNormalizationAttrs, LayerNormalizationAttrs, LRNAttrs
from cnnc.runtime.cpu import lrn, norm_group, norm_instance_blocked, norm_layer
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType


def _float_only(node: Node) -> str | None:
    dtype = node.output.type.dtype
    return None if dtype is DType.F32 else f"elements are {dtype.value}, not f32"


def _step(node: Node, builder: ProgramBuilder, variant: Variant, sizes: dict[str, Dim], *vectors: str) -> None:
    """A call over x and y, with the node's further inputs as the buffers named in ``vectors``."""
    buffers: dict[str, BufferArg | int] = {"x": builder.argument(node.input(0))}
    for position, name in enumerate(vectors, 1):
        value = node.optional(position)
        buffers[name] = 0 if value is None else builder.argument(value)
    buffers["y"] = builder.result(node.output)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


# ---- instance and group normalization -------------------------------------------------------------------------------


def _plain_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    return host_supports(node, builder) or _float_only(node)


def _emit_instance(node: Node, builder: ProgramBuilder) -> None:
    shape = node.output.type.shape
    epsilon = float_bits(float(getattr(node.attrs, "epsilon", 1e-5)))
    sizes = norm_group.arguments(shape[0], shape[1], 1, product(shape[2:]), epsilon)
    _step(node, builder, Variant.of("norm.group"), sizes, "scale", "bias")


def _emit_group(node: Node, builder: ProgramBuilder) -> None:
    assert isinstance(node.attrs, GroupNormalizationAttrs)
    shape, groups = node.output.type.shape, node.attrs.num_groups
    epsilon = float_bits(node.attrs.epsilon)
    sizes = norm_group.arguments(shape[0], groups, shape[1] // groups, product(shape[2:]), epsilon)
    _step(node, builder, Variant.of("norm.group"), sizes, "scale", "bias")


def _instance_blocked_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if not node.output.type.layout.is_blocked or node.input(0).type.layout != node.output.type.layout:
        return "it is not blocked"
    if not node.input(1).is_constant or not node.input(2).is_constant:
        return "its scale or bias is not constant"
    return _float_only(node)


def _emit_instance_blocked(node: Node, builder: ProgramBuilder) -> None:
    type = node.output.type
    blocks = type.physical_shape[1]
    epsilon = float_bits(float(getattr(node.attrs, "epsilon", 1e-5)))
    sizes = norm_instance_blocked.arguments(type.shape[0], blocks, product(type.shape[2:]), epsilon)
    scale, bias = (
        BufferArg(builder.constant(channel_lanes(node.input(position).array, type), "lanes")) for position in (1, 2)
    )
    x = builder.argument(node.input(0))
    buffers = {"x": x, "scale": scale, "bias": bias, "y": builder.result(node.output)}
    variant = Variant.of("norm.instance_blocked", lanes=type.layout.block)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


# ---- layer normalization --------------------------------------------------------------------------------------------


def _layer_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = host_supports(node, builder) or _float_only(node)
    if reason is not None:
        return reason
    assert isinstance(node.attrs, LayerNormalizationAttrs)
    if len(node.outputs) > 1:
        return "it also gives mean and deviation"
    shape = node.output.type.shape
    wanted = product(shape[node.attrs.axis % len(shape) :])
    for position in (1, 2):
        value = node.optional(position)
        if value is not None and value.type.elements != wanted:
            return f"%{value.name} has not one element a normalized element"
    return None


def _emit_layer(node: Node, builder: ProgramBuilder) -> None:
    assert isinstance(node.attrs, LayerNormalizationAttrs)
    shape = node.output.type.shape
    axis = node.attrs.axis % len(shape)
    has_bias = node.optional(2) is not None
    sizes = norm_layer.arguments(product(shape[:axis]), product(shape[axis:]), float_bits(node.attrs.epsilon), has_bias)
    kind = "rms" if node.op == "rms_normalization" else "layer"
    _step(node, builder, Variant.of("norm.layer", kind=kind), sizes, "scale", "bias")


# ---- local response normalization -----------------------------------------------------------------------------------


def _lrn_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    layout = node.output.type.layout
    if node.input(0).type.layout != layout or layout.pieces:
        return "its channels are not in one piece"
    return _float_only(node)


def _emit_lrn(node: Node, builder: ProgramBuilder) -> None:
    attrs, type = node.attrs, node.output.type
    assert isinstance(attrs, LRNAttrs)
    sizes = lrn.arguments(
        type.shape[0],
        type.shape[1],
        product(type.shape[2:]),
        attrs.size,
        float_bits(attrs.alpha / attrs.size),
        float_bits(attrs.beta),
        float_bits(attrs.bias),
    )
    blocked = type.layout.is_blocked
    variant = Variant.of("lrn.blocked", lanes=type.layout.block) if blocked else Variant.of("lrn.plain")
    _step(node, builder, variant, sizes)


RULES = {
    "instance_normalization": (
        LoweringRule("norm.instance_blocked", _instance_blocked_refusal, _emit_instance_blocked),
        LoweringRule("norm.group", _plain_refusal, _emit_instance),
    ),
    "group_normalization": (LoweringRule("norm.group", _plain_refusal, _emit_group),),
    "layer_normalization": (LoweringRule("norm.layer", _layer_refusal, _emit_layer),),
    "rms_normalization": (LoweringRule("norm.layer", _layer_refusal, _emit_layer),),
    "lrn": (LoweringRule("lrn", _lrn_refusal, _emit_lrn),),
}
