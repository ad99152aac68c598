"""Convolutions and products with what is fused into them: prologue, gate, residual and activation."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.export.activations import activated, per_channel
from cnnc.export.writer import Exporter, NodeWriter
from cnnc.ops.conv import GATE


def export_conv(node: NodeWriter) -> None:
    """act(Conv(prologue(x * scale + shift) or x * gate, w, bias) + residual), one node for each part that is there."""
    x = node.input(0)
    scale, shift, gate = node.optional(5), node.optional(6), node.optional(GATE)
    if scale is not None and shift is not None:
        rank, type = x.type.rank, x.type
        x = node.step("Mul", [x, per_channel(node, scale, rank)], type)
        x = node.step("Add", [x, per_channel(node, shift, rank)], type)
        x = activated(node, x, node.attrs.prologue)
    if gate is not None:
        x = node.step("Mul", [x, gate], x.type)
    y = node.step("Conv", [x, node.input(1), node.optional(2)], **node.fields("activation", "prologue"))
    residual = node.optional(3)
    if residual is not None:
        y = node.step("Add", [y, residual])
    node.result(activated(node, y, node.attrs.activation, node.optional(4)))


def export_conv_transpose(node: NodeWriter) -> None:
    """ConvTranspose, then its activation."""
    y = node.step("ConvTranspose", node.inputs, **node.fields("activation"))
    node.result(activated(node, y, node.attrs.activation))


def export_gemm(node: NodeWriter) -> None:
    """Gemm, then its activation."""
    y = node.step("Gemm", node.inputs, **node.fields("activation"))
    node.result(activated(node, y, node.attrs.activation))


EXPORTERS: Mapping[str, Exporter] = {
    "conv": export_conv,
    "conv_transpose": export_conv_transpose,
    "gemm": export_gemm,
}
