"""Operators that move elements without computing: what were attributes once are inputs now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.errors import ModelError
from cnnc.frontends.onnx.generic import generic_attrs
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode


def convert_reshape(node: OnnxNode) -> Converted:
    """The shape is an attribute before opset 5."""
    if node.opset >= 5:
        return node.finish("reshape", node.inputs, **generic_attrs(node, "reshape"))
    return node.finish("reshape", [node.input(0), node.optional_int64(node.integers("shape"), "shape")])


def convert_squeeze(node: OnnxNode) -> Converted:
    """Axes are an attribute before opset 13."""
    op = node.op_type.lower()
    if node.opset >= 13:
        return node.finish(op, node.inputs)
    return node.finish(op, [node.input(0), node.optional_int64(node.integers("axes"), "axes")])


def convert_concat(node: OnnxNode) -> Converted:
    """The axis has a default before opset 4 only."""
    axis = node.integer("axis", 1 if node.opset < 4 else None)
    return node.finish("concat", node.inputs, axis=axis)


def convert_split(node: OnnxNode) -> Converted:
    """Sizes are an input in opset 1, an attribute before 13, an input since; without sizes the parts are equal."""
    x = node.input(0)
    sizes = node.optional(1)
    if sizes is None:
        sizes = node.optional_int64(node.integers("split"), "split")
    parts = len(node.outputs)
    given = node.integer("num_outputs", parts)
    if given != parts:
        raise ModelError(f"num_outputs is {given}, but the node has {parts} outputs")
    count = {} if sizes is not None else {"num_outputs": parts}
    return node.finish("split", [x, sizes], outputs=parts, axis=node.integer("axis", 0), **count)


def convert_slice(node: OnnxNode) -> Converted:
    """Bounds are attributes before opset 10."""
    if node.opset >= 10:
        return node.finish("slice", node.inputs)
    names = ("starts", "ends", "axes")
    return node.finish("slice", [node.input(0), *(node.optional_int64(node.integers(name), name) for name in names)])


def convert_pad(node: OnnxNode) -> Converted:
    """Pads and value are attributes before opset 11."""
    if node.opset >= 11:
        return node.finish("pad", node.inputs, **generic_attrs(node, "pad"))
    x = node.input(0)
    pads = node.integers("paddings" if node.opset < 2 else "pads")
    if pads is None:
        raise ModelError("the pads are required but absent")
    value = node.constant(node.real("value", 0.0), x.type.dtype.numpy, "value")
    return node.finish("pad", [x, node.optional_int64(pads, "pads"), value], mode=node.text("mode", "constant"))


def convert_tile(node: OnnxNode) -> Converted:
    """Opset 1 tiles one axis."""
    if node.opset >= 6:
        return node.finish("tile", node.inputs)
    x, tiles, axis = node.input(0), node.known(1), node.known(2)
    if tiles is None or axis is None or tiles.size != 1 or axis.size != 1:
        node.refuse("its repeats depend on values")
    repeats = np.ones(x.type.rank, np.int64)
    repeats[int(axis.reshape(()))] = int(tiles.reshape(()))
    return node.finish("tile", [x, node.constant(repeats, np.int64, "repeats")])


def convert_scatter(node: OnnxNode) -> Converted:
    """Scatter of opset 9 is what ScatterElements is since 11."""
    return node.finish("scatter_elements", node.inputs, axis=node.integer("axis", 0))


CONVERTERS: Mapping[str, Converter] = {
    "Concat": convert_concat,
    "Pad": convert_pad,
    "Reshape": convert_reshape,
    "Scatter": convert_scatter,
    "Slice": convert_slice,
    "Split": convert_split,
    "Squeeze": convert_squeeze,
    "Tile": convert_tile,
    "Unsqueeze": convert_squeeze,
}
