"""The layers of a pruned network are fitted to what those of the dense network compute, from the first to the last.

Each layer reads what the fitted layers in front of it make, so it also corrects what they could not. A layer that was
left dense is fitted, too, once its inputs differ.

The means are taken up by the layer's bias, or by the mean of a batch normalization that alone reads it:
normalization(y + e) with mean m is normalization(y) with mean m - e. Without either, weights are fitted to raw moments.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cnnc.ir import Array, Graph, Node, Value
from cnnc.observation.layer_rows import has_rows, input_blocks, layer_weights, weight_rows
from cnnc.pruning.least_squares import DAMPINGS, Bools, Float64, best_damping, problems
from cnnc.pruning.masks import Masks
from cnnc.pruning.paired_moments import PairedMoments, paired_moments


@dataclass(frozen=True, slots=True)
class Fit:
    """What became of a layer's error. The error is relative: E[(t - y)^2] / E[t^2], without means that a bias takes up.

    Attributes:
        layer: name of its node.
        before: with weights that are as they were or 0, on what the layer reads in the fitted network.
        after: with fitted weights.
        why: it could not be fitted; "" if it was.
    """

    layer: str
    before: float
    after: float
    why: str = ""


def fit_layer(graph: Graph, dense: Node, own: Node, masks: Masks, inputs: Iterable[tuple[Array, Array]]) -> Fit | None:
    """Choose the weights of ``own``, a layer of the pruned ``graph``, anew; None if nothing of it was pruned before.

    Args:
        dense: the same layer of the dense network.
        masks: which weights may be other than 0, by their name; all of a weight without a mask.
        inputs: what the layer reads in both networks, batch by batch.
    """
    mask = masks.get(dense.input(1).name)
    is_pruned = mask is not None and not mask.all()
    reason = unfit(graph, own)
    if reason is not None:
        return Fit(dense.name, math.nan, math.nan, reason) if is_pruned else None
    most, held_out = paired_moments(dense, inputs)
    if not is_pruned and not most.differs and not held_out.differs:
        return None
    return _fit(graph, dense, own, masks, most, held_out)


def unfit(graph: Graph, layer: Node) -> str | None:
    """Why a layer's weights cannot be chosen anew."""
    weights = layer.input(1)
    if not has_rows(layer):
        return "its weights are no matrix for each group"
    if weights.array is None or weights.array.dtype != np.float32:
        return "its weights are not float32"
    if _reader(graph, weights) is not layer:
        return "its weights are read elsewhere, too"
    if getattr(layer.attrs, "alpha", 1.0) != 1.0 or getattr(layer.attrs, "transA", 0):
        return "it scales or transposes what it reads"
    return None


def place_of_mean(graph: Graph, layer: Node) -> tuple[Value, int] | None:
    """The constant [OC] that may take up a shift of the layer's result, and its sign; None if there is none."""
    channels = layer.output.type.shape[1 if layer.op == "conv" else -1]
    if has_own_bias(graph, layer):
        return layer.input(2), 1
    users = layer.output.users
    if layer.op != "conv" or len(users) != 1 or graph.is_output(layer.output):
        return None
    [user] = users
    if (
        user.op == "batch_normalization"
        and user.input(0) is layer.output
        and not getattr(user.attrs, "training_mode", 0)
    ):
        mean = user.input(3)
        if _own(graph, mean, user, channels):
            return mean, -1
    return None


def has_own_bias(graph: Graph, layer: Node) -> bool:
    """Whether a layer has a bias [OC] that nothing else reads."""
    bias, channels = layer.optional(2), layer.output.type.shape[1 if layer.op == "conv" else -1]
    return bias is not None and getattr(layer.attrs, "beta", 1.0) == 1.0 and _own(graph, bias, layer, channels)


def _own(graph: Graph, value: Value, reader: Node, channels: object) -> bool:
    is_vector = value.array is not None and value.array.dtype == np.float32 and value.array.size == channels
    return is_vector and _reader(graph, value) is reader


def _reader(graph: Graph, value: Value) -> Node | None:
    """The one node that reads a value, once."""
    return None if len(value.uses) != 1 or graph.is_output(value) else value.users[0]


def _fit(graph: Graph, layer: Node, own: Node, masks: Masks, most: PairedMoments, held_out: PairedMoments) -> Fit:
    """Fit ``own``, the twin of the dense network's ``layer``."""
    old, value = _rows(layer), own.input(1)
    assert value.array is not None
    mask: Bools = weight_rows(own, masks.get(value.name, np.ones(value.array.shape, bool))).astype(bool)
    shift = place_of_mean(graph, own)
    moments = most.joined(held_out)
    parts = [problems(each, old, centred=shift is not None) for each in (moments, most, held_out)]
    begun, found = np.where(mask, old, 0.0), np.zeros(old.shape)
    before = after = power = 0.0
    for block, problem, fitted, judging in zip(input_blocks(old.shape[2]), *parts, strict=True):
        some = old[:, :, block], mask[:, :, block]
        damping = best_damping(fitted, judging, *some) if most.count and held_out.count else DAMPINGS[-1]
        found[:, :, block] = problem.solution(*some, damping)
        before += float(problem.error(begun[:, :, block]).sum())
        after += float(problem.error(found[:, :, block]).sum())
        power += float(problem.power.sum())
    graph.set_constant(value, layer_weights(own, found.astype(np.float32)))
    if shift is not None:
        _move(graph, *shift, _mean(old, moments.dense_mean) - _mean(found, moments.pruned_mean))
    scale = max(power, np.finfo(np.float64).tiny)
    return Fit(layer.name, max(before, 0.0) / scale, max(after, 0.0) / scale)


def _move(graph: Graph, value: Value, sign: int, shift: Float64) -> None:
    array = value.array
    assert array is not None
    moved: Array = np.add(array, sign * shift.reshape(array.shape)).astype(array.dtype)
    graph.set_constant(value, moved)


def _rows(layer: Node) -> Float64:
    array = layer.input(1).array
    assert array is not None
    return weight_rows(layer, array).astype(np.float64)


def _mean(rows: Float64, inputs: Float64) -> Float64:
    """Mean result of weights [G, O, K] over inputs of mean [G, K], [G * O]."""
    mean: Float64 = np.matmul(rows, inputs[:, :, None]).reshape(-1)
    return mean
