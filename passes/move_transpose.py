"""How one node computes on operands before their transpose: its inputs, attributes, and the transpose owed after it.

With ``y = transpose(x, perm)``, axis i of y is axis perm[i] of x. Each function gets the node, for each operand what it
was before its transpose (None where the operand is not transposed by ``perm``), and ``perm``; it returns None where the
node cannot be moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.ir import Attrs, Node, Patch, Value
from cnnc.ops.reduction import ArgAttrs, ReduceAttrs
from cnnc.passes.canonicalize_axes import axis_of, reduced_axes, with_axis
from cnnc.passes.canonicalize_reshape import moves_only_ones, reshape_to
from cnnc.passes.local_rewrite import known_ints

Perm = tuple[int, ...]
Sources = Sequence["Value | None"]


@dataclass(frozen=True, slots=True)
class Moved:
    """The node over untransposed operands; ``perm`` is the transpose of each of its results."""

    inputs: tuple[Value | None, ...]
    attrs: Attrs
    perm: Perm


Move = Callable[[Node, Sources, Perm, Patch], "Moved | None"]


def _elementwise(node: Node, sources: Sources, perm: Perm, patch: Patch) -> Moved | None:
    if node.output.type.rank != len(perm):
        return None
    inputs: list[Value | None] = []
    for value, source in zip(node.inputs, sources, strict=True):
        if source is not None or value is None or value.type.elements == 1:
            inputs.append(source or value)
            continue
        permuted = _permuted_constant(value, perm, patch) or _permuted_ones(value, perm, patch)
        if permuted is None:
            return None
        inputs.append(permuted)
    return Moved(tuple(inputs), node.attrs, perm)


def _permuted_constant(value: Value, perm: Perm, patch: Patch) -> Value | None:
    """A constant as it must be before the transpose: widened to the full rank, and its axes put back."""
    if value.array is None:
        return None
    full = value.array.reshape((1,) * (len(perm) - value.array.ndim) + value.array.shape)
    return patch.constant(np.ascontiguousarray(full.transpose(np.argsort(perm))), value.name)


def _permuted_ones(value: Value, perm: Perm, patch: Patch) -> Value | None:
    """A value of shape [N, 1, 1, C], as a channel gate has it, as it must be before the transpose: a reshape."""
    inverse = tuple(int(axis) for axis in np.argsort(perm))
    if value.type.rank != len(perm) or not moves_only_ones(value.type.shape, inverse):
        return None
    wanted = tuple(value.type.shape[axis] for axis in inverse)
    loc = value.producer.loc if value.producer is not None else ()
    return reshape_to(patch, value, wanted, loc, value.name)


def _axis(node: Node, sources: Sources, perm: Perm, patch: Patch) -> Moved | None:
    axis = axis_of(node.attrs)
    if axis is None or sources[0] is None:
        return None
    return Moved((sources[0], *node.inputs[1:]), with_axis(node.attrs, perm[axis]), perm)


def _concat(node: Node, sources: Sources, perm: Perm, patch: Patch) -> Moved | None:
    axis = axis_of(node.attrs)
    inputs = [
        source if source is not None or value is None else _permuted_constant(value, perm, patch)
        for value, source in zip(node.inputs, sources, strict=True)
    ]
    if axis is None or any(value is None for value in inputs):
        return None
    return Moved(tuple(inputs), with_axis(node.attrs, perm[axis]), perm)


def _without(perm: Perm, axes: Sequence[int]) -> Perm:
    """The order of what is left when the transposed tensor loses ``axes``."""
    left = [perm[axis] for axis in range(len(perm)) if axis not in axes]
    return tuple(sorted(left).index(axis) for axis in left)


def _reduction(node: Node, sources: Sources, perm: Perm, patch: Patch) -> Moved | None:
    axes = reduced_axes(node)
    if axes is None or sources[0] is None or not isinstance(node.attrs, ReduceAttrs):
        return None
    before = np.array(sorted(perm[axis] for axis in axes), np.int64)
    listed = patch.constant(before, f"{node.output.name}.axes")
    return Moved((sources[0], listed), node.attrs, perm if node.attrs.keepdims else _without(perm, axes))


def _arg(node: Node, sources: Sources, perm: Perm, patch: Patch) -> Moved | None:
    if sources[0] is None or not isinstance(node.attrs, ArgAttrs):
        return None
    axis = node.attrs.axis % len(perm)
    return Moved(
        (sources[0],), with_axis(node.attrs, perm[axis]), perm if node.attrs.keepdims else _without(perm, [axis])
    )


def _slice(node: Node, sources: Sources, perm: Perm, patch: Patch) -> Moved | None:
    starts = node.input(1)
    listed = node.optional(3)
    axes = tuple(range(_length(starts))) if listed is None else known_ints(listed)
    if sources[0] is None or axes is None:
        return None
    before = patch.constant(np.array([perm[axis] for axis in axes], np.int64), f"{node.output.name}.axes")
    return Moved((sources[0], starts, node.input(2), before, node.optional(4)), node.attrs, perm)


def _length(value: Value) -> int:
    size = value.type.shape[0]
    return size if isinstance(size, int) else 0


def _pad(node: Node, sources: Sources, perm: Perm, patch: Patch) -> Moved | None:
    listed = node.optional(3)
    axes = tuple(range(len(perm))) if listed is None else known_ints(listed)
    if sources[0] is None or axes is None:
        return None
    before = patch.constant(np.array([perm[axis] for axis in axes], np.int64), f"{node.output.name}.axes")
    return Moved((sources[0], node.input(1), node.optional(2), before), node.attrs, perm)


_ELEMENTWISE = (
    "identity cast add sub mul div pow mod min max relu leaky_relu elu selu celu sigmoid tanh hard_sigmoid hard_swish "
    "swish mish gelu softplus softsign thresholded_relu shrink erf exp log sqrt reciprocal abs neg floor ceil round "
    "sign sin cos clip prelu where equal less greater less_or_equal greater_or_equal and or not xor is_nan is_inf"
).split()
_REDUCTIONS = (
    "reduce_mean",
    "reduce_sum",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_l1",
    "reduce_l2",
    "reduce_sum_square",
    "reduce_log_sum",
    "reduce_log_sum_exp",
)

MOVES: dict[str, Move] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(("softmax", "log_softmax", "split"), _axis),
    "concat": _concat,
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(("arg_max", "arg_min"), _arg),
    "slice": _slice,
    "pad": _pad,
}
"""Ops that a transpose moves past."""
