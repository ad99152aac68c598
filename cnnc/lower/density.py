"""Facts of a constant weight about its zeros: how many there are, and in which pattern they lie.

A stored element is zero where it equals the zero point; -0.0 is zero, NaN is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Node, Value

DENSE, CHANNEL, BLOCK4, UNSTRUCTURED = "dense", "channel", "block4", "unstructured"
"""Patterns beside N:M, which is named by its numbers: 2:4."""

BLOCK = 4
"""Neighbouring output channels that blocked patterns keep or drop together."""

_MOSTLY = 0.95
"""Density from which a weight counts as dense: zeros by chance, as rounding to integers makes them, are no pattern."""
_FILLED = 0.9
"""Share of non-zeros from which the elements that a pattern keeps count as kept."""
_RUNS = (2, 4, 8, 16)
"""M of the N:M patterns that are looked for."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WeightDensity:
    """The zeros of a weight.

    Attributes:
        non_zeros: elements that are not zero.
        elements: all of them.
        pattern: "dense"; "channel" where what remains without empty filters and dead inputs is dense; "block4"; N:M
            such as "2:4", at most N of M neighbouring input channels; "unstructured".
        empty_filters: output channels without a non-zero.
        dead_inputs: input channels that no output reads.
        blocks: positions (input channel, tap) of ``BLOCK`` neighbouring output channels of a group where any of these
            has a non-zero. The last outputs of a group may be fewer.
    """

    non_zeros: int
    elements: int
    pattern: str
    empty_filters: int
    dead_inputs: int
    blocks: int

    @property
    def density(self) -> float:
        """Share of non-zeros, 0 to 1; 1 of a weight without elements."""
        return self.non_zeros / self.elements if self.elements else 1.0


def weight_density(weights: Array, groups: int = 1, zero: Array | int = 0) -> WeightDensity:
    """The zeros of ``weights`` [OC, IC / groups, ...], of any number of taps.

    Args:
        zero: the value that stands for zero; of integers it may be one a output channel, [OC].
    """
    zeros = np.asarray(zero)
    if zeros.size > 1:
        zeros = zeros.reshape(-1, *(1,) * (weights.ndim - 1))
    is_kept = weights != zeros
    non_zeros, elements = int(np.count_nonzero(is_kept)), weights.size
    filters, inputs = weights.shape[:2]
    if non_zeros == elements:
        positions = groups * -(-filters // groups // BLOCK) * (elements // filters if filters else 0)
        return WeightDensity(elements, elements, DENSE, 0, 0, positions)
    kept = is_kept.reshape(groups, filters // groups, inputs, elements // (filters * inputs))
    reads = kept.any(axis=3) if kept.shape[3] > 1 else kept[..., 0]
    empty, dead = ~reads.any(axis=2), ~reads.any(axis=1)
    blocks = np.logical_or.reduceat(kept, np.arange(0, kept.shape[1], BLOCK), axis=1)
    whole = np.full(blocks.shape[1], BLOCK)
    whole[-1] = kept.shape[1] - BLOCK * (len(whole) - 1)
    counts = np.count_nonzero(blocks, axis=(0, 2, 3))
    remaining = int(((~empty).sum(axis=1) * (~dead).sum(axis=1)).sum()) * kept.shape[3]
    return WeightDensity(
        non_zeros,
        elements,
        _pattern(kept, non_zeros, remaining, int((counts * whole).sum())),
        int(empty.sum()),
        int(dead.sum()),
        int(counts.sum()),
    )


def _pattern(kept: Mask, non_zeros: int, remaining: int, in_blocks: int) -> str:
    """The pattern of ``kept`` [groups, OC / groups, IC / groups, taps].

    Args:
        remaining: elements of neither an empty filter nor a dead input.
        in_blocks: elements of the blocks that have a non-zero.
    """
    density = non_zeros / kept.size
    if density >= _MOSTLY:
        return DENSE
    if non_zeros >= _MOSTLY * remaining:
        return CHANNEL
    # Zeros anywhere fill the blocks that they leave by so much; a pattern must be nearer to whole blocks than to that.
    by_chance = density / (1 - (1 - density) ** BLOCK)
    if non_zeros >= max(_FILLED, (1 + by_chance) / 2) * in_blocks:
        return BLOCK4
    for run in _RUNS:
        most = int(density * run / _FILLED)
        if density * run <= most < run and _most_of(kept, run) <= most:
            return f"{most}:{run}"
    return UNSTRUCTURED


def _most_of(kept: Mask, run: int) -> int:
    """The most that are kept of ``run`` neighbouring input channels; ``run`` where these are no multiple of it."""
    if kept.shape[2] % run:
        return run
    runs = kept.view(np.uint8).reshape(*kept.shape[:2], -1, run, kept.shape[3])
    first = int(runs[:, :1].sum(axis=3, dtype=np.uint8).max())
    return first if first == run else int(runs.sum(axis=3, dtype=np.uint8).max())


@dataclass(frozen=True, slots=True)
class LayerWeight:
    """The constant weight of a layer.

    Attributes:
        value: the constant as it is stored.
        by_outputs: its elements [OC, IC / groups, ...].
        groups: of channels.
        zero: the stored element that stands for zero, or [OC] such elements.
    """

    value: Value
    by_outputs: Array
    groups: int
    zero: Array | int


def layer_weight(node: Node) -> LayerWeight | None:
    """The constant weight of a convolution or a matrix product, as it is stored where it is dequantized behind that.

    Returns:
        None for other nodes, weights that are not constant, and stacks of matrices.
    """
    place = _PLACES.get(node.op)
    if place is None:
        return None
    position, zero_position = place
    value = node.input(position)
    zero = node.optional(zero_position) if zero_position else None
    producer = value.producer
    if producer is not None and producer.op == "dequantize_linear":
        value, zero = producer.input(0), producer.optional(2)
    zero_point = 0 if zero is None else zero.array
    if value.array is None or zero_point is None or value.array.ndim < 2:
        return None
    attrs: Any = node.attrs
    groups = getattr(attrs, "group", 1)
    weights = by_outputs(node, value.array, groups)
    return None if weights is None else LayerWeight(value, weights, groups, zero_point)


def layer_density(node: Node) -> WeightDensity | None:
    """The zeros of what ``layer_weight`` finds."""
    weight = layer_weight(node)
    return None if weight is None else weight_density(weight.by_outputs, weight.groups, weight.zero)


_PLACES = {
    "conv": (1, 0),
    "conv_transpose": (1, 0),
    "gemm": (1, 0),
    "matmul": (1, 0),
    "conv_integer": (1, 3),
    "matmul_integer": (1, 3),
    "q_linear_conv": (3, 5),
    "q_linear_matmul": (3, 5),
    "q_linear_gemm": (3, 5),
}
"""Op -> positions of its weight and of the weight's zero point, 0 where it has none."""


def by_outputs(node: Node, weights: Array, groups: int) -> Array | None:
    """The node's weight as [OC, IC / groups, ...]; None of a stack of matrices."""
    if node.op in ("conv", "conv_integer", "q_linear_conv"):
        return weights
    if node.op == "conv_transpose":
        split = weights.reshape(groups, -1, *weights.shape[1:])
        return split.swapaxes(1, 2).reshape(groups * weights.shape[1], -1, *weights.shape[2:])
    if weights.ndim != 2:
        return None
    return weights if getattr(node.attrs, "transB", 0) else weights.T
