"""Writes quantize_linear and dequantize_linear into a graph: the form that ONNX calls QDQ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.ir import Array, Graph, Node, Value
from cnnc.ops.quantization import DequantizeLinearAttrs, QuantizeLinearAttrs
from cnnc.quantization.affine import Affine, store_bias, store_weights, weight_scales
from cnnc.quantization.placement import Placement
from cnnc.quantization.settings import Settings


def insert_pairs(graph: Graph, placement: Placement, affines: Mapping[str, Affine], settings: Settings) -> None:
    """Store activations, weights and biases of the placement as integers; the graph is rewritten in place.

    Args:
        affines: scale and zero point by the name of each of ``placement.activations``.
    """
    scales: dict[Value, float] = {}
    for value in (*placement.activations, *placement.moved):
        affine = affines[placement.moved.get(value, value).name]
        scales[_store_activation(graph, value, affine)] = affine.scale
    for layer in placement.layers:
        _store_layer(graph, layer, scales[layer.input(0)], settings)


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


def _store_layer(graph: Graph, layer: Node, input_scale: float, settings: Settings) -> None:
    """Weights as signed bytes, the bias in steps of the products."""
    weights = layer.input(1)
    if weights.array is None:
        return
    channel_axis = _channel_axis(layer)
    axis = channel_axis if settings.per_channel else None
    scales = weight_scales(weights.array, axis)
    restored = _restore(graph, layer, store_weights(weights.array, scales, axis), scales, channel_axis, weights.name)
    graph.set_input(layer, 1, restored)
    bias = layer.optional(2)
    if bias is None or bias.array is None:
        return
    steps = np.multiply(scales, np.float32(input_scale), dtype=np.float32)
    graph.set_input(layer, 2, _restore(graph, layer, store_bias(bias.array, steps), steps, 0, bias.name))


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


def _channel_axis(layer: Node) -> int:
    """The axis of output channels in a layer's weights."""
    if layer.op == "conv":
        return 0
    if layer.op == "gemm":
        return 0 if getattr(layer.attrs, "transB", 0) else 1
    return layer.input(1).type.rank - 1
