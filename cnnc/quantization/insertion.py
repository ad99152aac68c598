"""Writes quantize_linear and dequantize_linear into a graph: the form that ONNX calls QDQ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.ir import Array, Graph, Node, Value
from cnnc.observation.layer_rows import channel_axis
from cnnc.ops.quantization import DequantizeLinearAttrs, QuantizeLinearAttrs
from cnnc.quantization.affine import Affine, store_bias
from cnnc.quantization.placement import Placement
from cnnc.quantization.stored_weights import StoredWeights


def insert_pairs(
    graph: Graph, placement: Placement, affines: Mapping[str, Affine], weights: Mapping[str, StoredWeights]
) -> None:
    """Store activations, weights and biases of the placement as integers; the graph is rewritten in place.

    Args:
        affines: scale and zero point by the name of each of ``placement.activations``.
        weights: of each layer, by the name of its result; there are none where they are computed.
    """
    scales: dict[Value, float] = {}
    for value in (*placement.activations, *placement.moved):
        affine = affines[placement.moved.get(value, value).name]
        scales[_store_activation(graph, value, affine)] = affine.scale
    for layer in placement.layers:
        stored = weights.get(layer.output.name)
        if stored is not None:
            input_scale = scales[layer.input(0)]
            _store_layer(graph, layer, input_scale, stored.for_input(input_scale))


def _store_activation(graph: Graph, value: Value, affine: Affine) -> Value:
    """Everything that read ``value`` reads its dequantized integers, graph outputs included; returns these."""
    uses = value.uses
    first: Node | None = None
    for user, _ in uses:
        if first is None or graph.precedes(user, first):
            first = user
    loc = value.producer.loc if value.producer is not None else ()
    scale = graph.add_constant(np.asarray(affine.scale, np.float32), f"{value.name}.scale")
    zero_point = graph.add_constant(np.asarray(affine.zero_point, np.uint8), f"{value.name}.zero_point")
    # A value that is only returned is quantized at the end.
    stored = graph.add_node(
        "quantize_linear",
        [value, scale, zero_point],
        QuantizeLinearAttrs(),
        names=[f"{value.name}.stored"],
        loc=loc,
        before=first,
    )
    restored = graph.add_node(
        "dequantize_linear",
        [stored.output, scale, zero_point],
        DequantizeLinearAttrs(),
        names=[f"{value.name}.restored"],
        loc=loc,
        before=first,
    ).output
    for user, position in uses:
        graph.set_input(user, position, restored)
    if graph.is_output(value):
        outputs = [restored if output is value else output for output in graph.outputs]
        graph.set_outputs(outputs, graph.output_names)
    return restored


def _store_layer(graph: Graph, layer: Node, input_scale: float, stored: StoredWeights) -> None:
    """Weights as signed bytes, the bias in steps of the products."""
    name = layer.input(1).name
    restored = _restore(graph, layer, stored.weights, stored.scales, channel_axis(layer), name)
    graph.set_input(layer, 1, restored)
    if stored.bias is None:
        return
    bias = layer.optional(2)
    steps = np.multiply(stored.scales, np.float32(input_scale), dtype=np.float32)
    name = f"{name}.bias" if bias is None else bias.name
    restored = _restore(graph, layer, store_bias(stored.bias, steps), steps, 0, name)
    if bias is None:
        _add_bias(graph, layer, restored)
    else:
        graph.set_input(layer, 2, restored)


def _add_bias(graph: Graph, layer: Node, bias: Value) -> None:
    """The layer with a bias that it did not have, under its old name."""
    old = layer.output
    name = old.name
    operands = [layer.input(0), layer.input(1), bias]
    made = graph.add_node(layer.op, operands, layer.attrs, loc=layer.loc, before=layer).output
    graph.replace_uses(old, made)
    graph.remove_node(layer)
    graph.rename(made, name)


def _restore(graph: Graph, layer: Node, stored: Array, scales: Array, axis: int, name: str) -> Value:
    """A dequantize_linear of a constant in front of the layer; its zero point is 0."""
    constant = graph.add_constant(stored, f"{name}.stored")
    scale = graph.add_constant(scales, f"{name}.scale")
    return graph.add_node(
        "dequantize_linear",
        [constant, scale],
        DequantizeLinearAttrs(axis=axis),
        names=[f"{name}.restored"],
        loc=layer.loc,
        before=layer,
    ).output
