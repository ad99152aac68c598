"""conv_transpose between dequantize_linear and quantize_linear -> q_linear_conv, and a shuffle of its channels.

Along an axis of stride S the output o = q * S + r - P sums x[q - t] * w[k] over the taps k with k * D = t * S + r: each
of the S *phases* r has taps of its own. So a convolution of stride 1 with a channel for every phase computes them all,
and moving these channels between the pixels gives the result (Shi et al., Real-Time Single Image and Video
Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network, CVPR 2016). Phases of fewer taps than others
have weights of zero.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from cnnc.ir import ANY, Array, Match, Op, Patch, Rule, Value, known_array
from cnnc.ops.conv import transpose_window
from cnnc.ops.quantized import QuantizedConvAttrs
from cnnc.ops.reshaping import ReshapeAttrs, TransposeAttrs
from cnnc.passes.quantized_layers import read_bias, read_sides


@dataclass(frozen=True, slots=True)
class _Axis:
    """One spatial axis: the transposed convolution, and the convolution that computes all its phases."""

    size: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    output: int

    @property
    def taps(self) -> int:
        """Taps of a phase."""
        return (self.kernel - 1) * self.dilation // self.stride + 1

    @property
    def first(self) -> int:
        """q of the first pixel that is computed; none before the one that reads x[0] last."""
        return min(self.begin // self.stride, self.taps - 1)

    @property
    def pads(self) -> tuple[int, int]:
        """Of the convolution, before and after."""
        before = self.taps - 1 - self.first
        wanted = (self.begin + self.output - 1) // self.stride - self.first + 1
        return before, max(wanted - self.size - before + self.taps - 1, 0)

    @property
    def pixels(self) -> int:
        """That the convolution computes of each phase."""
        return self.size + sum(self.pads) - self.taps + 1

    @property
    def start(self) -> int:
        """The first element of the result among those of all phases."""
        return self.begin - self.first * self.stride

    def place(self, tap: int) -> tuple[int, int]:
        """Phase and tap of the convolution that tap ``tap`` becomes."""
        steps, phase = divmod(tap * self.dilation, self.stride)
        return phase, self.taps - 1 - steps


def _phase_weights(w: Array, zero_points: Array, group: int, axes: list[_Axis]) -> Array:
    """[IC, OC/group, K...] as [OC * phases, IC/group, taps...]; where a phase has no tap, the zero point."""
    ic, per_group = w.shape[:2]
    outputs = group * per_group
    by_output = np.swapaxes(w.reshape(group, ic // group, per_group, *w.shape[2:]), 1, 2)
    by_output = by_output.reshape(outputs, ic // group, *w.shape[2:])
    strides, taps = [axis.stride for axis in axes], [axis.taps for axis in axes]
    made = np.empty((outputs, *strides, ic // group, *taps), w.dtype)
    made[...] = zero_points.reshape(-1, *[1] * (made.ndim - 1))
    for tap in itertools.product(*(range(axis.kernel) for axis in axes)):
        places = [axis.place(number) for axis, number in zip(axes, tap)]
        phase, place = zip(*places)
        target: tuple[Any, ...] = (slice(None), *phase, slice(None), *place)
        source: tuple[Any, ...] = (slice(None), slice(None), *tap)
        made[target] = by_output[source]
    return made.reshape(outputs * prod(strides), ic // group, *taps)


def _axes(found: Match) -> list[_Axis] | str:
    node = found.node("layer")
    attrs: Any = node.attrs
    x, w = node.input(0).type.shape, node.input(1).type.shape
    window = transpose_window(attrs, x, w)
    axes: list[_Axis] = []
    for index, (size, kernel, begin, output) in enumerate(zip(x[2:], w[2:], window.begins, window.output)):
        numbers = [number for number in (size, kernel, begin, output) if isinstance(number, int)]
        if len(numbers) < 4:
            return f"the size of {node.op} {node.name!r} is not known before run time"
        axis = _Axis(numbers[0], numbers[1], window.strides[index], window.dilations[index], numbers[2], numbers[3])
        if axis.begin < 0 or axis.start + axis.output > axis.pixels * axis.stride:
            return f"{node.op} {node.name!r} has a result that reaches beyond its taps"
        axes.append(axis)
    return axes


def _apply(found: Match, patch: Patch) -> str | None:
    node = found.node("layer")
    attrs: Any = node.attrs
    if not attrs.activation.is_identity:
        return f"conv_transpose {node.name!r} has an activation already"
    sides = read_sides(found, weights_axis=1)
    axes = _axes(found)
    if isinstance(sides, str) or isinstance(axes, str):
        return sides if isinstance(sides, str) else str(axes)
    x, w, y = sides
    stored, zero_point = known_array(w.stored), None if w.zero_point is None else known_array(w.zero_point)
    if stored is None:
        return f"the weights of conv_transpose {node.name!r} are computed"
    # Scales along OC/group stand for the outputs of every group.
    repeats = attrs.group if w.scales.size > 1 else 1
    bias = read_bias(node.optional(2), np.tile(x.scales * w.scales, repeats), y, patch)
    if isinstance(bias, str):
        return bias
    outputs = attrs.group * stored.shape[1]
    zeros = np.zeros(1, stored.dtype) if zero_point is None else np.tile(zero_point.reshape(-1), repeats)
    zeros = np.broadcast_to(zeros, (outputs,))
    scales = np.broadcast_to(np.tile(w.scales.astype(np.float32), repeats), (outputs,))
    phases = prod(axis.stride for axis in axes)

    def spread(array: Array, name: str) -> Value:
        """One number an output as one for each of its phases."""
        return patch.constant(np.repeat(array, phases), f"{node.name}.{name}")

    weights = patch.constant(_phase_weights(stored, zeros, attrs.group, axes), f"{w.stored.name}.phases")
    triple = [weights, spread(scales, "scales"), spread(zeros, "zeros")]
    stored_bias = None if bias is None else known_array(bias)
    operands = [*x.triple(patch), *triple, *y.pair(patch)]
    operands += [] if stored_bias is None else [spread(np.broadcast_to(stored_bias, (outputs,)), "bias")]
    pads = (*(axis.pads[0] for axis in axes), *(axis.pads[1] for axis in axes))
    conv = QuantizedConvAttrs(group=attrs.group, kernel_shape=tuple(axis.taps for axis in axes), pads=pads)
    made = patch.node("q_linear_conv", operands, conv, loc=found.loc)
    patch.replace(found.root.output, _shuffled(made, outputs, axes, found, patch))
    return None


def _shuffled(phases: Value, outputs: int, axes: list[_Axis], found: Match, patch: Patch) -> Value:
    """[N, OC * S..., Q...] as [N, OC, Q * S...], cut to the result."""
    name, loc, made = found.node("layer").name, found.loc, phases

    def ints(*values: int) -> Value:
        return patch.constant(np.array(values, np.int64), f"{name}.sizes")

    rank = len(axes)
    if any(axis.stride > 1 for axis in axes):
        strides, pixels = [axis.stride for axis in axes], [axis.pixels for axis in axes]
        made = patch.node("reshape", [made, ints(0, outputs, *strides, *pixels)], ReshapeAttrs(), loc=loc)
        pairs = [place for axis in range(rank) for place in (2 + rank + axis, 2 + axis)]
        made = patch.node("transpose", [made], TransposeAttrs((0, 1, *pairs)), loc=loc)
        sizes = [count * stride for count, stride in zip(pixels, strides)]
        made = patch.node("reshape", [made, ints(0, outputs, *sizes)], ReshapeAttrs(), loc=loc)
    if any(axis.start or axis.output < axis.pixels * axis.stride for axis in axes):
        begins, ends = [axis.start for axis in axes], [axis.start + axis.output for axis in axes]
        made = patch.node("slice", [made, ints(*begins), ints(*ends), ints(*range(2, 2 + rank))], loc=loc)
    return made


_LAYER = Op("conv_transpose", ANY, ANY, rest=True, name="layer")
CONV_TRANSPOSE_RULES = (Rule("fuse-quantized-ops", Op("quantize_linear", _LAYER, rest=True), _apply),)
