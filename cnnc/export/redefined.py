"""Operators that mean something else in newer opsets for some attributes and operands: the newest is the IR's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from cnnc.export.generic import export_same
from cnnc.export.writer import Exporter, NodeWriter

_CLIPPED_POOLS_SINCE = 22
_FLOAT_MODULO_SINCE = 28


def export_pool(node: NodeWriter, *, op_type: str) -> None:
    """MaxPool, AveragePool or LpPool.

    With ``ceil_mode``, a last window that would start in the padding behind the input counted before opset 22.
    """
    if node.attrs.ceil_mode and _may_start_in_padding(node):
        node.model.need_opset(op_type, _CLIPPED_POOLS_SINCE)
    node.finish(op_type, node.inputs, **node.fields())


def _may_start_in_padding(node: NodeWriter) -> bool:
    """Whether a stride, counted from the last window that fits, can lead past the input's end."""
    attrs = node.attrs
    rank = len(attrs.kernel_shape)
    strides, dilations = attrs.strides or (1,) * rank, attrs.dilations or (1,) * rank
    ends = attrs.pads[rank:] or (0,) * rank
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(attrs.kernel_shape, dilations)]
    return any(stride + end > span for stride, end, span in zip(strides, ends, spans))


def export_mod(node: NodeWriter) -> None:
    """Mod; of floats with the sign of the divisor only since opset 28."""
    if node.input(0).type.dtype.is_float and not node.attrs.fmod:
        node.model.need_opset("Mod", _FLOAT_MODULO_SINCE)
    export_same(node)


def export_mean_variance_normalization(node: NodeWriter) -> None:
    """MeanVarianceNormalization with its axes always written: ONNX 1.23's shape inference does not find the default."""
    node.finish("MeanVarianceNormalization", node.inputs, axes=node.attrs.axes)


EXPORTERS: Mapping[str, Exporter] = {
    "average_pool": partial(export_pool, op_type="AveragePool"),
    "lp_pool": partial(export_pool, op_type="LpPool"),
    "max_pool": partial(export_pool, op_type="MaxPool"),
    "mean_variance_normalization": export_mean_variance_normalization,
    "mod": export_mod,
}
