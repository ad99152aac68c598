"""Cross-layer equalisation: weights move from channel to channel of two layers until their ranges are alike.

Before::

    %a = conv(%x, %w1, %b1)              w1 [C, ...], b1 [C]
    %b = relu(%a)                        or a clip from 0, or nothing
    %c = conv(%b, %w2, ...)              w2 [M, C/group, ...]

After, with a factor s[c] > 0 for each channel::

    %a = conv(%x, %w1 / s, %b1 / s)
    %b = relu(%a)                        relu(t / s) = relu(t) / s
    %c = conv(%b, %w2 * s, ...)          s along the input channels

The result is the same. With s[c] = sqrt(r1[c] / r2[c]), r1[c] and r2[c] being the largest magnitudes of the channel's
weights in both layers, its ranges are equal afterwards, and one scale a tensor suits every channel. In chains (expand,
depthwise, project) pairs are visited in turns until nothing moves.

A clip from 0 to u is another matter: clip(t, 0, u) / s = clip(t / s, 0, u / s), one bound for each channel. Here the
bound stays one number, which saturation applies for nothing: a channel that reaches u on the samples keeps its scale
(s[c] = 1), and others grow at most until their largest element is u. On the samples the result is the same; an element
beyond all that samples had may be cut, as quantization would cut it anyway.

Fires for a pair of convs with constant weights (and bias) in float32 whose values between are read by nothing else.
Channels that hardly have weights or values (``NEGLIGIBLE``) keep their scales: they would ask for extreme factors.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Graph, Node, known_array
from cnnc.observation.layer_rows import layer_weights, weight_rows
from cnnc.observation.observed import Observed, Progress, Samples
from cnnc.types import DType

NEGLIGIBLE = 1e-3
"""Share of a tensor's largest magnitude below which a channel's is as good as none."""

ROUNDS = 20
"""Most visits of each pair."""

_SETTLED = 1e-3
"""Factors so close to 1 move nothing."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two convs that channels may move between.

    Attributes:
        bound: of the clip between them; infinite where there is none.
    """

    first: Node
    second: Node
    bound: float


def equalise(graph: Graph, samples: Samples, progress: Progress = lambda what, done: None) -> int:
    """Equalise the pairs of ``graph`` in place; returns how many there are.

    Raises:
        InputError, ModelError: as for ``activation_ranges``.
    """
    pairs = find_pairs(graph)
    clipped = [pair.first.output.name for pair in pairs if np.isfinite(pair.bound)]
    peaks = _peaks(Observed(graph, clipped), samples, progress) if clipped else {}
    # What a channel was divided by so far: peaks shrink with it.
    totals = {pair.first: np.ones(_channels(pair.first)) for pair in pairs}
    for _ in range(ROUNDS):
        moved = 0.0
        for pair in pairs:
            peak = peaks.get(pair.first.output.name)
            factors = _factors(pair, None if peak is None else peak / totals[pair.first])
            _divide(graph, pair, factors)
            totals[pair.first] *= factors
            moved = max(moved, float(np.abs(np.log(factors)).max()))
        if moved < _SETTLED:
            break
    return len(pairs)


def find_pairs(graph: Graph) -> list[Pair]:
    """Every pair, in the order of its first conv."""
    pairs: list[Pair] = []
    for node in graph.nodes:
        if not _has_constants(node):
            continue
        value, bound = node.output, np.inf
        clamp = _only_user(graph, node)
        if clamp is not None and clamp.op in ("relu", "clip"):
            upper = _upper_bound(clamp)
            if upper is None:
                continue
            value, bound = clamp.output, upper
        second = value.users[0] if len(value.users) == 1 and not graph.is_output(value) else None
        if second is not None and _has_constants(second) and second.input(0) is value and len(value.uses) == 1:
            pairs.append(Pair(node, second, bound))
    return pairs


def _has_constants(node: Node) -> bool:
    """Whether a node is a conv of constants that others may rewrite."""
    if node.op != "conv" or node.input(1).array is None or node.input(1).type.dtype is not DType.F32:
        return False
    bias = node.optional(2)
    return bias is None or bias.array is not None


def _only_user(graph: Graph, node: Node) -> Node | None:
    users = node.output.users
    return users[0] if len(users) == 1 and not graph.is_output(node.output) else None


def _upper_bound(clamp: Node) -> float | None:
    """What a clamp from 0 cuts off above; None where it does not start at 0, or has other bounds than one number."""
    if clamp.op == "relu":
        return np.inf
    bounds: list[Array | None] = []
    for position in (1, 2):
        operand = clamp.optional(position)
        bounds.append(None if operand is None else known_array(operand))
    low, high = bounds
    if low is None or float(low.reshape(-1)[0]) != 0:
        return None
    if clamp.optional(2) is None:
        return np.inf
    upper = None if high is None else float(high.reshape(-1)[0])
    return upper if upper is not None and upper > 0 else None


def _channels(conv: Node) -> int:
    size = conv.input(1).type.shape[0]
    assert isinstance(size, int)  # its weights are constant
    return size


def _peaks(observed: Observed, samples: Samples, progress: Progress) -> dict[str, Float64]:
    """Largest element of each channel [C] of the values [N, C, ...], by name."""
    peaks: dict[str, Float64] = {}
    for index, arrays in enumerate(observed.batches(samples), start=1):
        for name in observed.names:
            x = arrays[name]
            largest = x.max(axis=tuple(axis for axis in range(x.ndim) if axis != 1), initial=0.0).astype(np.float64)
            peaks[name] = np.maximum(peaks[name], largest) if name in peaks else largest
        progress("peaks of channels", index)
    return peaks


def _factors(pair: Pair, peak: Float64 | None) -> Float64:
    """What to divide the channels of the first conv by.

    Args:
        peak: largest element of each channel before the clip; None where there is no clip.
    """
    out_range = np.abs(_rows(pair.first)).max(axis=2).reshape(-1)
    in_range = _input_ranges(pair.second)
    matters = _matters(out_range) & _matters(in_range)
    if peak is not None:
        matters &= _matters(peak) & (peak < pair.bound)
    if not matters.any():
        return np.ones_like(out_range)
    factors: Float64 = np.ones(len(out_range))
    factors[matters] = np.sqrt(out_range[matters] / in_range[matters])
    # Only ratios between channels count: on average they stay.
    factors[matters] /= np.exp(np.log(factors[matters]).mean())
    if peak is not None:
        factors[matters] = np.maximum(factors, peak / pair.bound)[matters]
    return factors


def _matters(magnitudes: Float64) -> NDArray[np.bool_]:
    matters: NDArray[np.bool_] = (magnitudes > 0) & (magnitudes > NEGLIGIBLE * magnitudes.max(initial=0.0))
    return matters


def _rows(conv: Node) -> Float64:
    weights = conv.input(1).array
    assert weights is not None
    return weight_rows(conv, weights).astype(np.float64)


def _input_ranges(conv: Node) -> Float64:
    """Largest magnitude of the weights of each input channel, [C]."""
    ranges: Float64 = np.abs(_by_input(conv)).max(axis=(1, 3)).reshape(-1)
    return ranges


def _by_input(conv: Node) -> Float64:
    """Weights as [G, O, C / G, taps]."""
    rows = _rows(conv)
    channels = conv.input(1).type.shape[1]
    assert isinstance(channels, int)  # its weights are constant
    return rows.reshape(*rows.shape[:2], channels, -1)


def _divide(graph: Graph, pair: Pair, factors: Float64) -> None:
    """Divide the first conv's output channels, and multiply the second's input channels."""
    first, second = pair.first, pair.second
    rows = _rows(first)
    _set(graph, first, 1, layer_weights(first, rows / factors.reshape(*rows.shape[:2], 1)))
    bias = first.optional(2)
    if bias is not None and bias.array is not None:
        _set(graph, first, 2, bias.array.astype(np.float64) / factors)
    weights = _by_input(second)
    scaled = weights * factors.reshape(len(weights), 1, -1, 1)
    _set(graph, second, 1, layer_weights(second, scaled.reshape(*scaled.shape[:2], -1)))


def _set(graph: Graph, node: Node, position: int, array: Array) -> None:
    """Give a conv a constant of its own in place of one that others may share."""
    old = node.input(position)
    graph.set_input(node, position, graph.add_constant(array.astype(np.float32), old.name))
