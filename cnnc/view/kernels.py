"""Pictures of what a network has learned: the weights of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError
from cnnc.ir import Graph, Node
from cnnc.lower.density import layer_weight
from cnnc.view.colour_map import Pixels, paint, scale_of
from cnnc.view.layers import Shown, chosen_layers
from cnnc.view.left_out import CHANNELS, check_channels, missing
from cnnc.view.picture import COLOUR, Picture
from cnnc.view.tiles import Tiles, nearly_square, sheet

MOST_COLUMNS = 64
"""Tiles of a row, which holds one filter."""


def kernels(graph: Graph, layers: Sequence[str] = (), *, channels: int = CHANNELS) -> tuple[Picture, ...]:
    """One picture of each layer that has a constant weight.

    Filters of red, green and blue are in colour. Filters of one input channel are tiles of a square; other filters are
    rows, with a tile for each input channel, and for each slice of a 3-D window. Filters of 1-D windows are tiles of
    input channels by taps. Weights of a matrix product are one tile of outputs by inputs, or filters where the product
    reads flattened maps.

    Args:
        graph: the source model's, see ``CompiledModel.source_graph`` and ``cnnc.compiler.read_graph``.
        layers: names, see ``chosen_layers``.
        channels: most filters, and most input channels of each.

    Raises:
        InputError: a name means nothing, or none of the layers that were named has weights.
        OptionError: ``channels`` is not between 1 and 256.
    """
    check_channels(channels)
    chosen = chosen_layers(graph, layers)
    found = kernel_pictures(chosen, channels)
    if layers and not found:
        names = ", ".join(repr(shown.node.name) for shown in chosen[:3])
        raise InputError(f"{names} have no constant weights", where="layer", hint="name a convolution")
    return found


def kernel_pictures(chosen: Sequence[Shown], channels: int) -> tuple[Picture, ...]:
    """Pictures of the chosen layers that have weights."""
    pictures = (_picture(shown.node, channels) for shown in chosen if shown.kernels)
    return tuple(picture for picture in pictures if picture is not None)


def _picture(node: Node, channels: int) -> Picture | None:
    stored = layer_weight(node)
    if stored is None or 0 in stored.by_outputs.shape:
        return None
    weights = _weights(node)
    scale = scale_of(weights, around_zero=True)
    filters, inputs = min(len(weights), channels), min(weights.shape[1], channels)
    if weights.shape[1] == 3 and weights.ndim == 4 and _reads_input(node):
        tiles = Tiles(np.moveaxis(weights[:filters], 1, 3), nearly_square(filters))
        shown, colours, inputs = "filters in red, green and blue", COLOUR, 3
        painted = _in_colour(tiles.values, scale.high)
    else:
        tiles, inputs, shown = _tiles(weights, filters, inputs)
        painted, colours = paint(tiles.values, scale), scale.colours
    left_out = missing((filters, len(weights), "filters"), (inputs, weights.shape[1], "input channels"))
    return Picture(
        layer=node.name,
        op=node.op,
        what="kernels",
        shape=tuple(weights.shape),
        low=scale.low,
        high=scale.high,
        colours=colours,
        shown=shown,
        left_out=left_out,
        pixels=sheet(tiles, painted),
    )


def _weights(node: Node) -> NDArray[np.float64]:
    """[OC, IC, ...], integers without their zero point. Of a product that reads flattened maps: [OC, C, H, W]."""
    stored = layer_weight(node)
    assert stored is not None
    zero = np.asarray(stored.zero, np.float64)
    zeros = zero.reshape(-1, *(1,) * (stored.by_outputs.ndim - 1)) if zero.size > 1 else zero
    weights = np.asarray(stored.by_outputs, np.float64) - zeros
    source = node.input(0).producer
    if weights.ndim != 2 or source is None or source.op not in ("flatten", "reshape"):
        return weights
    sizes = [size for size in source.input(0).type.shape[1:] if isinstance(size, int)]
    is_map = source.input(0).type.rank == len(sizes) + 1 and len(sizes) >= 2 and max(sizes[1:]) > 1
    return weights.reshape(-1, *sizes) if is_map and int(np.prod(sizes)) == weights.shape[1] else weights


def _tiles(weights: NDArray[np.float64], filters: int, inputs: int) -> tuple[Tiles, int, str]:
    """Tiles of up to so many filters, the number of input channels that they show, and what they are."""
    window = weights.shape[2:]
    if not window or (len(window) == 1 and window[0] == 1):
        matrix = weights.reshape(weights.shape[:2])[:filters, :inputs]
        return Tiles(matrix[None], 1), inputs, "a row is an output, a column an input"
    if len(window) == 1:
        return Tiles(weights[:filters, :inputs], nearly_square(filters)), inputs, "a tile is a filter: inputs by taps"
    if len(window) == 2 and window == (1, 1):
        return Tiles(weights[None, :filters, :inputs, 0, 0], 1), inputs, "a row is an output, a column an input"
    if len(window) == 2 and weights.shape[1] == 1:
        return Tiles(weights[:filters, 0], nearly_square(filters)), 1, "a tile is a filter of one channel"
    depth = window[0] if len(window) == 3 else 1
    inputs = max(1, min(inputs, MOST_COLUMNS // depth))
    slices = weights[:filters, :inputs].reshape(filters * inputs * depth, *window[-2:])
    each = "an input channel" if depth == 1 else "a slice of an input channel"
    return (
        Tiles(slices, inputs * depth, depth),
        inputs,
        f"a row is a filter, a tile {each}".replace("an slice", "a slice"),
    )


def _in_colour(weights: NDArray[np.float64], bound: float) -> Pixels:
    """Colours of [..., 3] around grey."""
    shares = 0.5 + weights / (2 * bound) if bound else np.full(weights.shape, 0.5)
    return np.rint(255 * np.clip(np.nan_to_num(shares, nan=0.5), 0, 1)).astype(np.uint8)


def _reads_input(node: Node) -> bool:
    """Whether the layer reads the model's input, perhaps normalized or padded first."""
    value: Any = node.input(0)
    while value.producer is not None and value.producer.op in _BEFORE_THE_FIRST_LAYER:
        value = value.producer.input(0)
    return value.producer is None


_BEFORE_THE_FIRST_LAYER = frozenset(
    "add sub mul div pad cast identity transpose batch_normalization quantize_linear dequantize_linear".split()
)
