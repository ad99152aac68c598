"""Layers that are linear in every output channel (conv, conv_transpose, gemm), and affine functions folded into them.

    after:   act(scale * (W x + b) + shift)  =  act(W' x + b')     W' = scale W,  b' = scale b + shift
    before:  W (scale x + shift) + b         =  W' x + b'          W' = W scale,  b' = b + W shift

Both are computed in float64 and rounded once, to the dtype of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnnc.ir import Array, Node, Patch, Value, known_array
from cnnc.ops.conv import conv_window
from cnnc.passes.channel_affine import ChannelAffine, Float64

LINEAR_LAYERS = "conv|conv_transpose|gemm"


@dataclass(frozen=True)
class LinearLayer:
    """A layer without epilogue whose weights and bias are constant.

    ``weights``: conv [M, C/group, ...], conv_transpose [C, M/group, ...], gemm [K, N] (or [N, K] with transB).
    ``bias``: [M] in float64, gemm's ``beta`` multiplied in; None where there is none.
    """

    node: Node
    weights: Float64
    bias: Float64 | None

    @property
    def out_channels(self) -> int:
        size = self.node.output.type.shape[1]
        assert isinstance(size, int)  # the weights are constant
        return size


def read_layer(node: Node) -> LinearLayer | str:
    """The layer that ``node`` is, or why nothing can be folded into it."""
    attrs: Any = node.attrs
    if not attrs.activation.is_identity:
        return f"{node.op} {node.name!r} already applies {attrs.activation.kind}"
    if node.op == "conv" and node.optional(3) is not None:
        return f"conv {node.name!r} adds a residual, which would have to be scaled too"
    weights = known_array(node.input(1))
    if weights is None:
        return f"the weights %{node.input(1).name} of {node.op} {node.name!r} are not constant"
    given = node.optional(2)
    if given is None:
        return LinearLayer(node, weights.astype(np.float64), None)
    bias = known_array(given)
    if bias is None:
        return f"the bias %{given.name} of {node.op} {node.name!r} is not constant"
    channels = node.output.type.shape[1]
    if bias.size not in (1, channels) or (bias.size > 1 and bias.shape[-1] != channels):
        return f"the bias {list(bias.shape)} of {node.op} {node.name!r} is not one value a channel"
    beta = attrs.beta if node.op == "gemm" else 1.0
    assert isinstance(channels, int)
    return LinearLayer(
        node,
        weights.astype(np.float64),
        np.broadcast_to(bias.astype(np.float64).reshape(-1) * beta, (channels,)),
    )


def fold_after(layer: LinearLayer, affine: ChannelAffine, patch: Patch, loc: tuple[str, ...]) -> Value | str:
    """The layer with ``affine`` of its output channels folded in, or why not."""
    scale = affine.scale
    node, weights = layer.node, layer.weights
    bias = affine.shift if layer.bias is None else scale * layer.bias + affine.shift
    if (scale == 1).all():
        return _rebuilt(layer, None, bias, patch, loc)
    attrs: Any = node.attrs
    if node.op == "conv":
        scaled = weights * _along(scale, 0, weights.ndim)
    elif node.op == "gemm":
        scaled = weights * _along(scale, 0 if attrs.transB else 1, 2)
    else:
        grouped = _grouped(weights, attrs.group)
        by_group = scale.reshape((attrs.group, 1, weights.shape[1]) + (1,) * (weights.ndim - 2))
        scaled = (grouped * by_group).reshape(weights.shape)
    return _rebuilt(layer, scaled, bias, patch, loc)


def fold_before(
    layer: LinearLayer, affine: ChannelAffine, source: Value, patch: Patch, loc: tuple[str, ...]
) -> Value | str:
    """The layer reading ``source`` with ``affine`` of its input channels folded in, or why not."""
    node, weights = layer.node, layer.weights
    attrs: Any = node.attrs
    shifts = bool(affine.shift.any())
    if node.op == "gemm":
        if attrs.transA:
            return "the gemm reads its input transposed: channels are rows there"
        scaled = weights * _along(affine.scale, 1 if attrs.transB else 0, 2)
        moved = attrs.alpha * (weights @ affine.shift if attrs.transB else affine.shift @ weights)
    elif node.op == "conv":
        if shifts and _is_padded(node):
            return "the conv pads its input with zeros, which a shift before it would leave alone"
        grouped = _grouped(weights, attrs.group)
        shape = (attrs.group, 1, weights.shape[1]) + (1,) * (weights.ndim - 2)
        scaled = (grouped * affine.scale.reshape(shape)).reshape(weights.shape)
        spread = grouped * affine.shift.reshape(shape)
        moved = spread.reshape(weights.shape[0], -1).sum(axis=1)
    else:
        if shifts:
            return "a shift before a conv_transpose is not constant over its output"
        scaled = weights * _along(affine.scale, 0, weights.ndim)
        moved = np.zeros(layer.out_channels)
    bias = layer.bias
    if shifts:
        bias = moved if bias is None else bias + moved
    return _rebuilt(layer, None if (affine.scale == 1).all() else scaled, bias, patch, loc, source=source)


def _is_padded(conv: Node) -> bool:
    attrs: Any = conv.attrs
    window = conv_window(attrs, conv.input(0).type.shape, conv.input(1).type.shape)
    return any(pad != 0 for pad in (*window.begins, *window.ends))


def _along(vector: Float64, axis: int, rank: int) -> Float64:
    return vector.reshape(tuple(-1 if index == axis else 1 for index in range(rank)))


def _grouped(weights: Float64, group: int) -> Float64:
    return weights.reshape(group, weights.shape[0] // group, *weights.shape[1:])


def _rebuilt(
    layer: LinearLayer,
    weights: Float64 | None,
    bias: Float64 | None,
    patch: Patch,
    loc: tuple[str, ...],
    *,
    source: Value | None = None,
) -> Value | str:
    node = layer.node
    attrs: Any = node.attrs
    dtype = node.input(1).type.dtype.numpy
    new_weights: Array | None = None
    new_bias: Array | None = None
    with np.errstate(all="ignore"):
        if weights is not None:
            new_weights = weights.astype(dtype)
        if bias is not None:
            new_bias = bias.astype(dtype)
    if any(made is not None and not np.isfinite(made).all() for made in (new_weights, new_bias)):
        return f"the folded weights overflow {node.input(1).type.dtype.value}"
    given = node.optional(2)
    operands: list[Value | None] = [
        source if source is not None else node.input(0),
        node.input(1) if new_weights is None else patch.constant(new_weights, node.input(1).name),
        None
        if new_bias is None
        else patch.constant(new_bias, given.name if given is not None else f"{node.name}.bias"),
    ]
    if node.op == "gemm":
        attrs = replace(attrs, beta=1.0)
    return patch.node(node.op, operands, attrs, loc=loc)
