"""move-pointwise-conv: a 1x1 convolution moves to the side of a pool or an upsampling that has fewer pixels.

Before, as the transitions of DenseNet have it::

    %y: f32[N, 128, 56, 56] = conv(%x, %w, %b)            w f32[128, 256, 1, 1]
    %z: f32[N, 128, 28, 28] = average_pool(%y) {kernel_shape=(2, 2), strides=(2, 2)}

After: a quarter of the multiply-adds::

    %p: f32[N, 256, 28, 28] = average_pool(%x) {kernel_shape=(2, 2), strides=(2, 2)}
    %z: f32[N, 128, 28, 28] = conv(%p, %w, %b)

and likewise ``conv(resize(x))`` becomes ``resize(conv(x))``. A 1x1 convolution sums over channels, average pools and
linear or nearest interpolation sum over pixels with the same factors in every channel: the order of the two sums does
not matter. The bias goes through because the factors add up to 1.

Fires when
1. the convolution has a 1x1 window, stride 1, no padding, no residual and no activation, and nobody reads the value
   between the two;
2. pool: average_pool or global_average_pool; if it counts padding, the convolution has no bias;
3. resize: nearest or linear, of the spatial axes alone, given by scales, without cropping;
4. there is less work afterwards, counted in multiply-adds at the side with fewer pixels.

Must not fire behind an activation, which is not linear.

Numerics: rounding (the order of the sum).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnnc.dims import Dim, product
from cnnc.ir import ANY, Bind, Graph, Match, Node, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.conv import conv_window
from cnnc.ops.opdef import normalize_axis
from cnnc.ops.pool import pool_window
from cnnc.ops.resize import ResizeAttrs
from cnnc.passes.base import Pass
from cnnc.types import DType

_TYPICAL_PIXELS = 49
"""Stands for the size of a map that is only known at run time."""

_LINEAR_TAPS = 8
"""Work of one interpolated element, in multiply-adds; an activation behind it is to be paid for too."""

_CONV = Op("conv", Bind("x"), ANY, name="conv", rest=True)
_POOL = Op("average_pool|global_average_pool", _CONV)
_RESIZED = Op("conv", Op("resize", Bind("x"), name="resize", rest=True), ANY, rest=True)


@dataclass(frozen=True)
class MovePointwiseConv(Pass):
    """conv 1x1 -> average pool and resize -> conv 1x1 change places where that saves work."""

    name: ClassVar[str] = "move-pointwise-conv"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        rules = (
            Rule("move-conv-behind-pool", _POOL, _behind_pool),
            Rule("move-conv-before-resize", _RESIZED, _before_resize),
        )
        return rewrite(graph, rules, notes) > 0


def _behind_pool(found: Match, patch: Patch) -> str | None:
    conv, pool, x = found.node("conv"), found.root, found["x"]
    reason = _pointwise_refusal(conv)
    if reason is not None:
        return reason
    attrs: Any = pool.attrs
    if pool.op == "average_pool":
        window = pool_window(attrs, x.type.shape)
        pads = any(pad != 0 for pad in (*window.begins, *window.ends))
        if attrs.count_include_pad and pads and conv.optional(2) is not None:
            return "the pool counts padding, which the convolution's bias must not enter"
        taps, pixels = _known(product(window.kernel)), _known(product(window.strides))
    else:
        taps = pixels = _known(product(x.type.shape[2:]))
    channels, outputs = _channels(conv)
    if channels * outputs + channels * taps >= channels * outputs * pixels + outputs * taps:
        return "the convolution would not take less work behind the pool"
    pooled = patch.node(pool.op, [x], attrs, loc=pool.loc)
    patch.replace(pool.output, patch.node("conv", [pooled, *conv.inputs[1:]], conv.attrs, loc=conv.loc))
    return None


def _before_resize(found: Match, patch: Patch) -> str | None:
    conv, resize, x = found.root, found.node("resize"), found["x"]
    reason = _pointwise_refusal(conv) or _resize_refusal(resize)
    if reason is not None:
        return reason
    before, after = (_known(product(value.type.shape[2:])) for value in (x, resize.output))
    channels, outputs = _channels(conv)
    growth = after / max(before, 1)
    if (channels + growth * _LINEAR_TAPS) * outputs >= growth * channels * outputs:
        return "the convolution would not take less work before the resize"
    made = patch.node("conv", [x, *conv.inputs[1:]], conv.attrs, loc=conv.loc)
    patch.replace(conv.output, patch.node("resize", [made, *resize.inputs[1:]], resize.attrs, loc=resize.loc))
    return None


def _pointwise_refusal(conv: Node) -> str | None:
    attrs: Any = conv.attrs
    weights = conv.input(1).type.shape
    if any(size != 1 for size in weights[2:]):
        return "the convolution has a window"
    window = conv_window(attrs, conv.input(0).type.shape, weights)
    if any(stride != 1 for stride in window.strides) or any(pad != 0 for pad in (*window.begins, *window.ends)):
        return "the convolution has a stride or padding"
    if conv.output.type.dtype is not DType.F32:
        return f"elements are {conv.output.type.dtype.value}, not f32"
    if conv.optional(3) is not None or not attrs.activation.is_identity:
        return "the convolution has a residual or an activation"
    return None


def _resize_refusal(resize: Node) -> str | None:
    attrs = resize.attrs
    assert isinstance(attrs, ResizeAttrs)
    if attrs.mode == "cubic" or attrs.antialias or attrs.coordinate_transformation_mode == "tf_crop_and_resize":
        return "the resize crops, or is neither nearest nor linear"
    sizes, rank = resize.optional(3), resize.output.type.rank
    axes = [normalize_axis(axis, rank) for axis in attrs.axes] or list(range(rank))
    if sizes is not None and sizes.type.shape != (0,) and min(axes) < 2:
        return "the resize is given sizes of all axes, the channels among them"
    if resize.input(0).type.shape[:2] != resize.output.type.shape[:2]:
        return "the resize changes batch or channels"
    return None


def _channels(conv: Node) -> tuple[int, int]:
    """Products an output element takes, and output channels."""
    weights = conv.input(1).type.shape
    return _known(weights[1]), _known(weights[0])


def _known(size: Dim) -> int:
    return size if isinstance(size, int) else _TYPICAL_PIXELS
