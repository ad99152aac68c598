"""The weights of a graph that can be pruned, and why others stay dense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.errors import ModelError, OptionError
from cnnc.ir import Array, Graph, Node, Value
from cnnc.observation.first_and_last import first_layers, last_layers
from cnnc.observation.layer_rows import channel_axis
from cnnc.pruning.names import fits
from cnnc.pruning.patterns import NofM
from cnnc.pruning.settings import Settings

LAYERS = frozenset({"conv", "conv_transpose", "gemm", "matmul"})
"""Ops whose second operand is pruned."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A constant that layers multiply by.

    Attributes:
        value: the constant; its name is the initializer's.
        layers: what reads it, in graph order; all of them in the same way.
    """

    value: Value
    layers: tuple[Node, ...]

    @property
    def name(self) -> str:
        return self.value.name

    @property
    def array(self) -> Array:
        """Its elements."""
        assert self.value.array is not None
        return self.value.array

    @property
    def is_depthwise(self) -> bool:
        """Whether every output channel reads one input channel of its own."""
        groups, _, inputs, _ = rows_of(self.layers[0], self.array).shape
        return bool(inputs == 1 and groups > 1)


@dataclass(frozen=True, slots=True)
class Selected:
    """What is pruned.

    Attributes:
        ratios: weights to prune, in graph order, with a ratio of their own; None: that of all.
        dense: others, with the reason.
    """

    ratios: Mapping[Weight, float | None]
    dense: Mapping[Weight, str]


def rows_of(layer: Node, weights: Array) -> Array:
    """Weights, or an array of their shape, as [G, O, I, T]: groups, output channels, input channels, taps."""
    attrs: Any = layer.attrs
    if layer.op == "conv":
        return weights.reshape(attrs.group, weights.shape[0] // attrs.group, weights.shape[1], -1)
    if layer.op == "conv_transpose":
        by_input = weights.reshape(attrs.group, weights.shape[0] // attrs.group, weights.shape[1], -1)
        return by_input.swapaxes(1, 2)
    return (weights if channel_axis(layer) == 0 else weights.T)[None, :, :, None]


def from_rows(layer: Node, rows: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of ``rows_of``: an array of the weights' shape."""
    if layer.op == "conv_transpose":
        rows = rows.swapaxes(1, 2)
    elif layer.op != "conv" and channel_axis(layer) != 0:
        rows = rows.swapaxes(1, 2)
    return np.ascontiguousarray(rows).reshape(shape)


def all_weights(graph: Graph) -> list[Weight]:
    """Every constant that a layer multiplies by, in graph order."""
    layers: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        if node.op in LAYERS:
            constant = _constant(node.input(1))
            if constant is not None:
                layers.setdefault(constant, []).append(node)
    return [Weight(value, tuple(nodes)) for value, nodes in layers.items()]


def select(graph: Graph, settings: Settings) -> Selected:
    """What the settings prune of a graph.

    Raises:
        ModelError: it has no layers with weights, or none that can be pruned; a weight is infinite or NaN.
        OptionError: a name of the settings fits no layer.
    """
    weights = all_weights(graph)
    if not weights:
        hint = "weights are initializers of floats: prune a model before it is quantized"
        raise ModelError("no layer has constant weights", where=graph.name, hint=hint)
    _check_names([*settings.exclude, *(name for name, _ in settings.ratios)], weights)
    first, last = set(first_layers(graph)), set(last_layers(graph))
    ratios: dict[Weight, float | None] = {}
    dense: dict[Weight, str] = {}
    for weight in weights:
        own = [ratio for name, ratio in settings.ratios if _is_called(weight, name)]
        reason = _unfit(weight, settings) or _excluded(weight, settings)
        if reason is None and not own:
            reason = _dense_by_default(weight, settings, first, last)
        if reason is not None:
            dense[weight] = reason
            continue
        if not np.isfinite(weight.array).all():
            place, hint = f"layer {weight.layers[0].name!r}", "repair the model, or exclude the layer"
            raise ModelError(f"%{weight.name} holds infinity or NaN", where=place, hint=hint)
        ratios[weight] = own[-1] if own else None
    if not ratios:
        reasons = "; ".join(f"{weight.name}: {reason}" for weight, reason in list(dense.items())[:5])
        raise ModelError(f"no layer is left to prune ({reasons})", where=graph.name, hint="change the settings")
    return Selected(ratios, dense)


def _constant(value: Value) -> Value | None:
    """The constant that a value is, perhaps under another name."""
    while value.producer is not None and value.producer.op == "identity":
        value = value.producer.input(0)
    return value if value.is_constant and value.type.dtype.is_float else None


def _unfit(weight: Weight, settings: Settings) -> str | None:
    """Why a weight cannot be pruned at all."""
    first = weight.layers[0]
    if weight.array.ndim < 2 or (first.op in ("gemm", "matmul") and weight.array.ndim > 2):
        return f"{weight.array.ndim} axes are no matrix"
    if not weight.array.size:
        return "it has no elements"
    if _other_readers(weight.value, weight.layers):
        return "it is more than a layer's weights: other nodes read it, or it is a result"
    if len({_view(layer) for layer in weight.layers}) > 1:
        return "layers read it in different ways"
    pattern = settings.parsed_pattern
    return pattern.refusal(rows_of(first, weight.array).shape[2]) if isinstance(pattern, NofM) else None


def _view(layer: Node) -> tuple[str, int]:
    """How ``rows_of`` looks at the weights."""
    if layer.op in ("gemm", "matmul"):
        return "product", channel_axis(layer)
    attrs: Any = layer.attrs
    return layer.op, attrs.group


def _other_readers(value: Value, layers: tuple[Node, ...]) -> bool:
    """Whether anything but these layers, and names for the value, reads it."""
    for node, position in value.uses:
        if node.op == "identity":
            if _other_readers(node.output, layers):
                return True
        elif node not in layers or position != 1:
            return True
    return False


def _excluded(weight: Weight, settings: Settings) -> str | None:
    found = [name for name in settings.exclude if _is_called(weight, name)]
    return f"excluded by {found[0]!r}" if found else None


def _dense_by_default(weight: Weight, settings: Settings, first: set[str], last: set[str]) -> str | None:
    results = {layer.output.name for layer in weight.layers}
    if weight.is_depthwise and not settings.prune_depthwise:
        return "depthwise"
    if results & first and not settings.prune_first and weight.layers[0].op == "conv":
        return "it reads the model's input"
    if results & last and not settings.prune_last:
        return "it gives the model's result"
    if settings.sparsity is None and not isinstance(settings.parsed_pattern, NofM):
        return "no ratio names it"
    return None


def _check_names(names: list[str], weights: list[Weight]) -> None:
    for name in names:
        if not any(_is_called(weight, name) for weight in weights):
            known = ", ".join(repr(weight.layers[0].name) for weight in weights[:5])
            hint = f"* stands for any text; layers are {known}{', ...' if len(weights) > 5 else ''}"
            raise OptionError(f"no layer, and no weight of one, is called {name!r}", where=name, hint=hint)


def _is_called(weight: Weight, name: str) -> bool:
    return fits(name, weight.name) or any(fits(name, layer.name) for layer in weight.layers)
