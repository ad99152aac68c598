"""Upsampling and resizing of [N, C, spatial...]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.constant import Constant, integers
from cnnc.frontends.dsl.module import as_layer
from cnnc.frontends.dsl.tensor import Tensor
from cnnc.frontends.dsl.trace import trace_of
from cnnc.frontends.dsl.windows import Sizes, per_axis
from cnnc.ops.resize import ResizeAttrs


def upsample(
    x: Tensor, scale: float | Sequence[float], *, mode: str = "nearest", align_corners: bool = False
) -> Tensor:
    """x with ``scale`` times as many pixels along each spatial axis; sizes are rounded down.

    Args:
        mode: nearest (each pixel repeated, for whole scales), linear (bilinear, trilinear) or cubic.
        align_corners: for linear and cubic, corner pixels keep their values; else pixels are squares with centres.

    Raises:
        ModelError: a scale that is not above 0, or a mode that does not exist.
    """
    rank = _spatial_rank(x)
    scales = [float(scale)] * rank if isinstance(scale, (int, float)) else [float(item) for item in scale]
    if len(scales) != rank:
        raise refusal(f"scale={scale!r} has {len(scales)} numbers for {rank} spatial axes")
    factors = Constant(np.asarray([1.0, 1.0, *scales], np.float32), "scales")
    return trace_of(x).emit("resize", [x, None, factors], _attrs(mode, align_corners))


def resize(x: Tensor, size: Sizes, *, mode: str = "nearest", align_corners: bool = False) -> Tensor:
    """x with ``size`` pixels along each spatial axis, see ``upsample``.

    Raises:
        ModelError: sizes that are not positive integers, or a mode that does not exist.
    """
    sizes = per_axis("size", size, _spatial_rank(x))
    attrs = _attrs(mode, align_corners, axes=tuple(range(2, x.rank)))
    return trace_of(x).emit("resize", [x, None, None, integers(sizes, "sizes")], attrs)


def _attrs(mode: str, align_corners: bool, axes: tuple[int, ...] = ()) -> ResizeAttrs:
    if mode not in ("nearest", "linear", "cubic"):
        raise refusal(f"mode={mode!r} does not exist", hint="use nearest, linear or cubic")
    if mode == "nearest":
        return ResizeAttrs(axes=axes, coordinate_transformation_mode="asymmetric", mode="nearest", nearest_mode="floor")
    coordinates = "align_corners" if align_corners else "half_pixel"
    return ResizeAttrs(axes=axes, coordinate_transformation_mode=coordinates, mode=mode)


def _spatial_rank(x: Tensor) -> int:
    if x.rank < 3:
        raise refusal(f"expected [N, C, spatial...], got {x}")
    return x.rank - 2


Upsample = as_layer(upsample)
Resize = as_layer(resize)
