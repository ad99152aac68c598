"""Changes of shape and order: what moves elements and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.dims import Dim, Expr
from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.constant import integers
from cnnc.frontends.dsl.module import as_layer
from cnnc.frontends.dsl.tensor import Operand, Tensor
from cnnc.frontends.dsl.trace import trace_of
from cnnc.ops.layout import BlockAttrs, ChannelShuffleAttrs
from cnnc.ops.reshaping import FlattenAttrs, ReshapeAttrs
from cnnc.ops.slicing import ConcatAttrs, PadAttrs, SplitAttrs


def flatten(x: Tensor, axis: int = 1) -> Tensor:
    """[N, C, H, W] -> [N, C*H*W]: the axes before ``axis`` become the rows."""
    return trace_of(x).emit("flatten", [x], FlattenAttrs(axis))


def reshape(x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """The same elements in another shape. One size may be -1 (what is left), or an open size of x.

    Raises:
        ModelError: another number of elements, or more than one open size that is not at its own place in x.
    """
    numbers: list[int] = []
    for axis, size in enumerate(shape):
        if isinstance(size, int):
            numbers.append(size)
        elif not isinstance(size, Expr):
            raise refusal(f"size {size!r} of a reshape is neither an integer nor a size of a tensor")
        elif axis < x.rank and size == x.shape[axis]:
            numbers.append(0)  # ONNX: the input's own size at this place
        else:
            numbers.append(-1)
    if numbers.count(-1) > 1:
        raise refusal(
            f"reshape to {[str(size) for size in shape]}: more than one size is open",
            hint="give the input numbers for all sizes but the batch",
        )
    return trace_of(x).emit("reshape", [x, integers(numbers, "shape")], ReshapeAttrs())


def transpose(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Axis i of the result is axis axes[i] of x."""
    return x.transpose(*axes)


def squeeze(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Without the axes, whose sizes must be 1."""
    return trace_of(x).emit("squeeze", [x, integers(axes, "axes")])


def unsqueeze(x: Tensor, axes: Sequence[int]) -> Tensor:
    """With axes of size 1 inserted, at these places of the result."""
    return trace_of(x).emit("unsqueeze", [x, integers(axes, "axes")])


def concat(tensors: Sequence[Operand], axis: int = 1) -> Tensor:
    """Tensors joined along an axis; their other sizes must be equal.

    Raises:
        ModelError: no tensors, or shapes that differ elsewhere.
    """
    if not tensors:
        raise refusal("concat of no tensors")
    return trace_of(*tensors).emit("concat", tensors, ConcatAttrs(axis))


def split(x: Tensor, sizes: int | Sequence[int], axis: int = 1) -> tuple[Tensor, ...]:
    """x in ``sizes`` equal parts, or in parts of these sizes.

    Raises:
        ModelError: the parts do not make up the axis.
    """
    trace = trace_of(x)
    if isinstance(sizes, int):
        extent = x.size(axis)
        if sizes < 1 or extent % sizes:
            raise refusal(f"axis {axis} of {x} does not divide into {sizes} equal parts")
        sizes = (extent // sizes,) * sizes
    if not sizes:
        raise refusal("split into no parts")
    return trace.emit_many("split", [x, integers(sizes, "sizes")], SplitAttrs(axis), outputs=len(sizes))


def pad(x: Tensor, widths: Sequence[tuple[int, int]], *, mode: str = "constant", value: float = 0.0) -> Tensor:
    """x with elements around it; negative widths cut.

    Args:
        widths: (before, after) for each of the last axes: two entries pad H and W of [N, C, H, W].
        mode: constant, edge, reflect or wrap.
        value: what a constant border holds.

    Raises:
        ModelError: more widths than axes, or a mode that does not exist.
    """
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise refusal(f"mode={mode!r} does not exist", hint="use constant, edge, reflect or wrap")
    if len(widths) > x.rank:
        raise refusal(f"{len(widths)} widths for {x}")
    all_widths = [(0, 0)] * (x.rank - len(widths)) + [tuple(width) for width in widths]
    if any(len(width) != 2 for width in all_widths):
        raise refusal(f"widths={list(widths)!r}: an entry is a pair (before, after)")
    counts = integers([width[side] for side in (0, 1) for width in all_widths], "widths")
    return trace_of(x).emit("pad", [x, counts, value if mode == "constant" else None], PadAttrs(mode), like=x)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels dealt out in turn from each group: [g0c0, g0c1, g1c0, g1c1] -> [g0c0, g1c0, g0c1, g1c1].

    Source: Zhang et al., ShuffleNet, CVPR 2018, section 3.1.

    Raises:
        ModelError: the channels do not divide into the groups.
    """
    return trace_of(x).emit("channel_shuffle", [x], ChannelShuffleAttrs(groups))


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """[N, C*r*r, H, W] -> [N, C, H*r, W*r]: channels become the pixels of r x r squares.

    Source: Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel CNN, CVPR 2016.
    """
    return trace_of(x).emit("depth_to_space", [x], BlockAttrs(factor, "CRD"))


def pixel_unshuffle(x: Tensor, factor: int) -> Tensor:
    """[N, C, H*r, W*r] -> [N, r*r*C, H, W], the first channels from the top left pixels (ONNX SpaceToDepth)."""
    return trace_of(x).emit("space_to_depth", [x], BlockAttrs(factor))


PixelShuffle = as_layer(pixel_shuffle)
ChannelShuffle = as_layer(channel_shuffle)
Flatten = as_layer(flatten)
Pad = as_layer(pad)
