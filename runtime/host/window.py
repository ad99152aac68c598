"""Arithmetic of sliding windows: padding and output sizes of convolutions and pools, in ints or symbolic dims.

Sources: the ONNX specification of Conv, ConvTranspose and the pools. Axes are the spatial ones (after N and C), any
number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div, floor_div, maximum, minimum
from cnnc.errors import InternalError, ModelError

Array = NDArray[Any]

MAX_EXTENT = 1 << 20
"""Largest kernel size, stride, dilation or padding: far above any network's, and what a hostile file cannot exceed."""

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window with everything resolved, one entry a spatial axis.

    ``begins`` and ``ends`` are paddings; ``output`` is the number of window positions. With ceil_mode the last window
    may reach past the end padding.
    """

    kernel: tuple[Dim, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[Dim, ...]
    ends: tuple[Dim, ...]
    output: tuple[Dim, ...]

    def span(self, axis: int) -> Dim:
        """Input elements between the first and last tap, both included."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1


def resolve_window(
    spatial: Sequence[Dim],
    kernel: Sequence[Dim],
    strides: Sequence[int] = (),
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
) -> Window:
    """The window of a convolution or pool over an input of size ``spatial``. Empty attributes mean their defaults.

    Raises:
        ModelError: attribute lengths, values or sizes that contradict each other.
    """
    rank = len(spatial)
    strides, dilations = axis_values("strides", strides, rank), axis_values("dilations", dilations, rank)
    if len(kernel) != rank:
        raise ModelError(f"kernel_shape has {len(kernel)} values for {rank} spatial axes")
    if any(isinstance(size, int) and not 1 <= size <= MAX_EXTENT for size in kernel):
        raise ModelError(f"kernel_shape {_show(kernel)} has a size outside 1 to {MAX_EXTENT}")
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    begins, ends = _resolve_pads(spatial, spans, strides, pads, auto_pad)
    if auto_pad.startswith("SAME"):
        # By definition of SAME. window_count gives the same numbers, but symbolically a formula that grows by layer.
        output = tuple(ceil_div(size, stride) for size, stride in zip(spatial, strides))
    else:
        output = tuple(
            window_count(spatial[i], spans[i], strides[i], begins[i], ends[i], ceil_mode and auto_pad == "NOTSET")
            for i in range(rank)
        )
    for axis, count in enumerate(output):
        if isinstance(count, int) and count < 1:
            raise ModelError(
                f"a window of {spans[axis]} does not fit spatial axis {axis} of size {spatial[axis]} "
                f"with padding {begins[axis]} and {ends[axis]}"
            )
    return Window(tuple(kernel), strides, dilations, begins, ends, output)


def window_count(size: Dim, span: Dim, stride: int, begin: Dim, end: Dim, ceil_mode: bool) -> Dim:
    """Window positions along one axis; with ceil_mode those that would start in the end padding are dropped."""
    room = size + begin + end - span
    if not ceil_mode:
        return floor_div(room, stride) + 1
    count = ceil_div(room, stride) + 1
    if isinstance(span, int) and isinstance(end, int) and stride + end <= span:
        return count  # the last window reaches at most stride - 1 beyond the padding, so it starts inside
    return minimum(count, ceil_div(size + begin, stride))


def _resolve_pads(
    spatial: Sequence[Dim], spans: Sequence[Dim], strides: Sequence[int], pads: Sequence[int], auto_pad: str
) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
    rank = len(spatial)
    if auto_pad not in AUTO_PADS:
        raise ModelError(f"auto_pad {auto_pad!r} is not one of {', '.join(AUTO_PADS)}")
    if auto_pad == "NOTSET":
        return pad_values(pads, rank)
    if auto_pad == "VALID":
        return (0,) * rank, (0,) * rank
    begins: list[Dim] = []
    ends: list[Dim] = []
    for size, span, stride in zip(spatial, spans, strides):
        total = maximum((ceil_div(size, stride) - 1) * stride + span - size, 0)
        small, large = floor_div(total, 2), ceil_div(total, 2)
        begins.append(small if auto_pad == "SAME_UPPER" else large)
        ends.append(large if auto_pad == "SAME_UPPER" else small)
    return tuple(begins), tuple(ends)


def resolve_transpose(
    spatial: Sequence[Dim],
    kernel: Sequence[Dim],
    strides: Sequence[int] = (),
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    auto_pad: str = "NOTSET",
    output_padding: Sequence[int] = (),
    output_shape: Sequence[int] = (),
) -> Window:
    """The window of a transposed convolution: ``output`` is its output size, ``begins`` what is cropped in front.

    An ``output_shape``, or SAME padding with its output of size * stride, decides the padding; else the padding decides
    the output size.

    Raises:
        ModelError: attribute lengths, values or sizes that contradict each other.
    """
    rank = len(spatial)
    strides, dilations = axis_values("strides", strides, rank), axis_values("dilations", dilations, rank)
    extra = axis_values("output_padding", output_padding, rank, default=0)
    if len(kernel) != rank:
        raise ModelError(f"kernel_shape has {len(kernel)} values for {rank} spatial axes")
    if auto_pad not in AUTO_PADS:
        raise ModelError(f"auto_pad {auto_pad!r} is not one of {', '.join(AUTO_PADS)}")
    # Exporters write a full [N, C, ...] output_shape at times; only the spatial part says anything.
    wanted = tuple(output_shape[-rank:]) if len(output_shape) == rank + 2 else tuple(output_shape)
    if wanted and len(wanted) != rank:
        raise ModelError(f"output_shape has {len(wanted)} values for {rank} spatial axes")
    full = [(spatial[i] - 1) * strides[i] + extra[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(rank)]
    if not wanted and auto_pad in ("NOTSET", "VALID"):
        begins: tuple[Dim, ...]
        ends: tuple[Dim, ...]
        begins, ends = pad_values(pads if auto_pad == "NOTSET" else (), rank)
        output = tuple(full[i] - begins[i] - ends[i] for i in range(rank))
    else:
        output = wanted or tuple(spatial[i] * strides[i] for i in range(rank))
        totals = [maximum(full[i] - output[i], 0) for i in range(rank)]
        small = tuple(floor_div(total, 2) for total in totals)
        large = tuple(ceil_div(total, 2) for total in totals)
        begins, ends = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    for axis, size in enumerate(output):
        if isinstance(size, int) and size < 1:
            raise ModelError(
                f"the output of spatial axis {axis} would have size {size}: input {spatial[axis]}, "
                f"full size {full[axis]}, padding {begins[axis]} and {ends[axis]}"
            )
    return Window(tuple(kernel), strides, dilations, begins, ends, output)


def axis_values(name: str, values: Sequence[int], rank: int, default: int = 1) -> tuple[int, ...]:
    """One value a spatial axis; none given means ``default`` everywhere.

    Raises:
        ModelError: another number of values, or one below ``default`` or above ``MAX_EXTENT``.
    """
    if not values:
        return (default,) * rank
    if len(values) != rank:
        raise ModelError(f"{name} has {len(values)} values for {rank} spatial axes")
    if any(not default <= value <= MAX_EXTENT for value in values):
        raise ModelError(f"{name} {_show(values)} has a value outside {default} to {MAX_EXTENT}")
    return tuple(values)


def pad_values(pads: Sequence[int], rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """ONNX ``pads`` (all begins, then all ends) as two tuples; none given means no padding.

    Raises:
        ModelError: not two values a spatial axis, or negative ones.
    """
    if not pads:
        return (0,) * rank, (0,) * rank
    if len(pads) != 2 * rank:
        raise ModelError(f"pads has {len(pads)} values for {rank} spatial axes, which need {2 * rank}")
    if any(pad < 0 for pad in pads):
        raise ModelError(f"pads {_show(pads)} has a negative value", hint="crop with Slice before the window")
    if any(pad > MAX_EXTENT for pad in pads):
        raise ModelError(f"pads {_show(pads)} has a value above {MAX_EXTENT}")
    return tuple(pads[:rank]), tuple(pads[rank:])


def pad_for(x: Array, window: Window, value: float) -> Array:
    """``x`` [N, C, spatial...] padded so that every tap of every window position is inside."""
    widths = [(0, 0), (0, 0)]
    begins, output, kernel = (numbers(values) for values in (window.begins, window.output, window.kernel))
    for axis, size in enumerate(x.shape[2:]):
        begin = begins[axis]
        reach = (output[axis] - 1) * window.strides[axis] + (kernel[axis] - 1) * window.dilations[axis] + 1
        widths.append((begin, max(reach - size - begin, 0)))
    if not any(width for pair in widths for width in pair):
        return x
    return np.pad(x, widths, constant_values=np.asarray(value, x.dtype))


def tap_view(padded: Array, window: Window, tap: Sequence[int]) -> Array:
    """The elements that kernel position ``tap`` meets at every window position: a view [N, C, output...]."""
    slices = [slice(None), slice(None)]
    for axis, (offset, count) in enumerate(zip(tap, numbers(window.output))):
        start = offset * window.dilations[axis]
        slices.append(slice(start, start + (count - 1) * window.strides[axis] + 1, window.strides[axis]))
    return padded[tuple(slices)]


def numbers(values: Sequence[Dim]) -> tuple[int, ...]:
    """Sizes of a concrete shape, which are all plain ints.

    Raises:
        InternalError: a symbolic one.
    """
    if any(not isinstance(value, int) for value in values):
        raise InternalError(f"sizes {_show(values)} must be numbers when arrays are computed")
    return tuple(value for value in values if isinstance(value, int))


def _show(values: Sequence[Dim]) -> str:
    return f"[{', '.join(map(str, values))}]"
