"""Upsample and Resize become one op; GridSample and RoiAlign of their first opsets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.errors import ModelError
from cnnc.frontends.onnx.generic import generic_attrs
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.node import Value

_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear"}


def convert_upsample(node: OnnxNode) -> Converted:
    """Upsample of any opset is Resize on an asymmetric grid."""
    x = node.input(0)
    if node.opset >= 9:
        return _asymmetric(node, x, node.input(1))
    if node.has("height_scale"):
        scales: tuple[float, ...] | None = (1.0, 1.0, node.real("height_scale"), node.real("width_scale"))
    else:
        scales = node.reals("scales")
    if scales is None:
        raise ModelError("the scales are required but absent")
    return _asymmetric(node, x, node.constant(scales, np.float32, "scales"))


def convert_resize(node: OnnxNode) -> Converted:
    """Opset 10 has no coordinate transformation; empty tensors stand for absent inputs since 11."""
    if node.opset < 11:
        return _asymmetric(node, node.input(0), node.input(1))
    inputs = [node.input(0), *(_not_empty(node, index) for index in (1, 2, 3))]
    attrs = generic_attrs(node, "resize")
    if attrs.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        inputs[1] = None
    return node.finish("resize", inputs, **attrs)


def _not_empty(node: OnnxNode, index: int) -> Value | None:
    value = node.optional(index)
    return None if value is None or 0 in value.type.shape else value


def _asymmetric(node: OnnxNode, x: Value, scales: Value) -> Converted:
    """Resize as of opset 10: nearest rounds down where an axis grows, up where it shrinks."""
    mode = _MODES.get(node.text("mode", "nearest"))
    if mode is None:
        node.refuse(f"mode {node.text('mode')!r} is not one of {', '.join(_MODES)}")
    known = scales.fact.array
    grows, shrinks = True, False
    if known is not None:
        grows, shrinks = bool(np.greater(known, 1).any()), bool(np.less(known, 1).any())
    if mode == "nearest" and grows and shrinks:
        node.refuse("nearest with some axes growing and others shrinking")
    return node.finish(
        "resize",
        [x, None, scales],
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="ceil" if shrinks else "floor",
    )


def convert_grid_sample(node: OnnxNode) -> Converted:
    """Modes have other names before opset 20."""
    renamed = {"bilinear": "linear", "bicubic": "cubic"}
    mode = node.text("mode", "linear")
    attrs = generic_attrs(node, "grid_sample", dropped=frozenset({"mode"}))
    return node.finish("grid_sample", node.inputs, mode=renamed.get(mode, mode), **attrs)


def convert_roi_align(node: OnnxNode) -> Converted:
    """Before opset 16 regions are not shifted by half a pixel."""
    attrs = generic_attrs(node, "roi_align")
    if node.opset < 16:
        attrs["coordinate_transformation_mode"] = "output_half_pixel"
    return node.finish("roi_align", node.inputs, **attrs)


CONVERTERS: Mapping[str, Converter] = {
    "GridSample": convert_grid_sample,
    "Resize": convert_resize,
    "RoiAlign": convert_roi_align,
    "Upsample": convert_upsample,
}
