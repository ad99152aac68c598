"""split-quantized-weights: weights that int8 cannot hold without their zero point become sums of weights that it can.

Before::

    %y = q_linear_conv(%x, %x_scale, %x_zero, %w, %w_scale, %w_zero, ...)        %w u8, %w_zero 100: -100..155

After::

    %xx = concat(%x, %x) {axis=1}
    %y = q_linear_conv(%xx, %x_scale, %x_zero, %parts, %w_scale, %none, ...)     %parts i8: -100..127, then 0..28

Kernels multiply unsigned with signed bytes. uint8 weights with a zero point near 128 fit those once it is taken off;
with another one they take two sets, or three with 255 at a zero point of 0, and the input is read once for each.

Fires when
1. q_linear_conv, q_linear_gemm or q_linear_matmul has constant weights and zero points;
2. the difference leaves -128..127;
3. the first matrix is not transposed, and the second is a matrix.

The copies of a group's channels must lie side by side: a channel_shuffle brings those of each channel together.

Must not fire for products of matrices of other kinds, which run in NumPy whatever their weights are.

Numerics: exact. The sums are the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnnc.ir import ANY, Array, Bind, Graph, Match, Notes, Op, Patch, Rule, Value, known_array, rewrite
from cnnc.ops.layout import ChannelShuffleAttrs
from cnnc.ops.slicing import ConcatAttrs
from cnnc.passes.base import Pass

_WEIGHTS, _ZERO_POINT = 3, 5
_INT8 = np.iinfo(np.int8)


def _parts(wide: Array) -> list[Array]:
    """int8 arrays whose sum is ``wide``."""
    parts: list[Array] = []
    while not parts or wide.any():
        parts.append(np.clip(wide, _INT8.min, _INT8.max).astype(np.int8))
        wide = np.subtract(wide, parts[-1])
    return parts


def _apply(found: Match, patch: Patch) -> str | None:
    node = found.root
    attrs: Any = node.attrs
    weights, zero_point = known_array(node.input(_WEIGHTS)), known_array(node.input(_ZERO_POINT))
    if weights is None or zero_point is None:
        return f"the weights of {node.op} {node.name!r} are computed"
    if weights.dtype not in (np.uint8, np.int8):
        return f"the weights of {node.op} {node.name!r} are no bytes"
    is_conv = node.op == "q_linear_conv"
    by_row = is_conv or bool(getattr(attrs, "transB", 0))
    spread = zero_point.reshape(-1, *[1] * (weights.ndim - 1)) if by_row else zero_point
    wide = weights.astype(np.int16) - spread.astype(np.int16)
    if wide.size == 0 or (wide.min() >= _INT8.min and wide.max() <= _INT8.max):
        return f"the weights of {node.op} {node.name!r} fit int8"
    if getattr(attrs, "transA", 0) or (not is_conv and weights.ndim != 2):
        return f"{node.op} {node.name!r} is no product with a matrix of weights on the right"
    parts = _parts(wide)
    x = node.input(0)
    axis = 1 if is_conv else x.type.rank - 1
    copies = patch.node("concat", [x] * len(parts), ConcatAttrs(axis), loc=node.loc, name=f"{x.name}.copies")
    joined = np.concatenate(parts, 1 if by_row else 0)
    if is_conv and attrs.group > 1:
        copies = patch.node("channel_shuffle", [copies], ChannelShuffleAttrs(len(parts)), loc=node.loc)
        joined = np.stack(parts, 2).reshape(joined.shape)
    inputs = list(node.inputs)
    inputs[0] = copies
    inputs[_WEIGHTS] = patch.constant(joined, f"{node.input(_WEIGHTS).name}.parts")
    inputs[_ZERO_POINT] = patch.constant(np.zeros(zero_point.shape, np.int8), f"{node.input(_ZERO_POINT).name}.none")
    patch.replace(node.output, patch.node(node.op, inputs, attrs, loc=node.loc))
    return None


def _moves_range(zero_point: Value) -> bool:
    """Whether bytes without this zero point may be beyond int8."""
    array = known_array(zero_point)
    return array is not None and bool((array != (128 if array.dtype == np.uint8 else 0)).any())


_LAYERS = "q_linear_conv|q_linear_gemm|q_linear_matmul"
_RULE = Rule(
    "split-quantized-weights", Op(_LAYERS, ANY, ANY, ANY, ANY, ANY, Bind(where=_moves_range), rest=True), _apply
)


@dataclass(frozen=True)
class SplitQuantizedWeights(Pass):
    """Weights beyond int8 -> weights of int8 over a repeated input."""

    name: ClassVar[str] = "split-quantized-weights"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, [_RULE], notes) > 0
