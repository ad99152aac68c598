"""BatchNormalization and GroupNormalization over their versions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.errors import ModelError
from cnnc.frontends.onnx.generic import generic_attrs
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.node import Value

_OLD = frozenset({"is_test", "spatial"})


def convert_batch_normalization(node: OnnxNode) -> Converted:
    """Before opset 14 training was told from the outputs; running statistics are always what inference means.

    Opset 1 to 8 may normalise each activation on its own (``spatial=0``), which is spelled out as arithmetic.
    """
    attrs = generic_attrs(node, "batch_normalization", dropped=_OLD)
    if node.opset >= 14:
        return node.finish("batch_normalization", node.inputs, **attrs)
    if any(node.is_used(index) for index in range(1, len(node.outputs))):
        node.refuse("its training outputs are read", "export the model for inference")
    if node.integer("spatial", 1) or node.input(1).type.rank == 1:
        return node.finish("batch_normalization", node.inputs, outputs=1, **attrs)
    x, scale, bias, mean, variance = (node.input(index) for index in range(5))
    epsilon = node.constant(node.real("epsilon", 1e-5), x.type.dtype.numpy, "epsilon")
    deviation = node.step("sqrt", [node.step("add", [variance, epsilon])])
    centred = node.step("div", [node.step("sub", [x, mean]), deviation])
    return node.finish("add", [node.step("mul", [centred, scale]), bias], outputs=1)


def convert_group_normalization(node: OnnxNode) -> Converted:
    """Before opset 21 scale and bias are per group; they are spread over the channels of each."""
    attrs = generic_attrs(node, "group_normalization")
    if node.opset >= 21:
        return node.finish("group_normalization", node.inputs, **attrs)
    x, scale, bias = (node.input(index) for index in range(3))
    return node.finish("group_normalization", [x, _spread(node, x, scale), _spread(node, x, bias)], **attrs)


def _spread(node: OnnxNode, x: Value, per_group: Value) -> Value:
    """[G] -> [C]: each element repeated for the channels of its group."""
    channels, groups = x.type.shape[1], node.integer("num_groups")
    if not isinstance(channels, int):
        node.refuse("its channel count is not known", "give the input sizes with shapes=")
    if groups < 1 or channels % groups:
        raise ModelError(f"{channels} channels do not divide into {groups} groups")
    column = node.step("unsqueeze", [per_group, node.constant([1], np.int64, "axes")])
    wide = node.step("expand", [column, node.constant([groups, channels // groups], np.int64, "shape")])
    return node.step("reshape", [wide, node.constant([channels], np.int64, "shape")])


CONVERTERS: Mapping[str, Converter] = {
    "BatchNormalization": convert_batch_normalization,
    "GroupNormalization": convert_group_normalization,
}
