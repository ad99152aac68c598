"""Pictures of what a network computes for an input: the tensors behind its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnc.errors import InputError
from cnnc.ir import Array
from cnnc.view.colour_map import paint, scale_of
from cnnc.view.layers import Shown, chosen_layers
from cnnc.view.left_out import CHANNELS, check_channels, missing
from cnnc.view.picture import Picture
from cnnc.view.tiles import Tiles, averaged, nearly_square, sheet

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel

MOST_SLICES = 16
"""Of the depth of a 3-D map."""

STRIP_HEIGHT = 8
STRIP_WIDTH = 512
"""Pixels of a channel of a 1-D map."""


def activations(
    compiled: CompiledModel,
    feeds: Mapping[str, Array],
    layers: Sequence[str] = (),
    *,
    channels: int = CHANNELS,
    sample: int = 0,
) -> tuple[Picture, ...]:
    """One picture of each layer's result for an input.

    The model is compiled with these tensors as outputs, so that those are there too which fusion does away with.
    Maps are tiles, volumes rows of slices, signals strips, and single numbers squares.

    Args:
        feeds: one array for every input.
        layers: names, see ``chosen_layers``.
        channels: most channels of each.
        sample: index along axis 0.

    Raises:
        InputError: a name means nothing, a feed does not fit, or there is no such sample; or none of the named layers
            gives maps, signals or vectors.
        OptionError: ``channels`` is not between 1 and 256.
    """
    check_channels(channels)
    chosen = chosen_layers(compiled.source_graph(), layers)
    found = activation_pictures(compiled, feeds, chosen, channels, sample)
    if layers and not found:
        names = ", ".join(repr(shown.node.name) for shown in chosen[:3])
        raise InputError(f"{names} give no maps, signals or vectors", where="layer", hint="name a convolution")
    return found


def activation_pictures(
    compiled: CompiledModel, feeds: Mapping[str, Array], chosen: Sequence[Shown], channels: int, sample: int
) -> tuple[Picture, ...]:
    """Pictures of the results of the chosen layers that can be shown."""
    names = captured(chosen)
    if not names:
        return ()
    results = compiled.run(feeds, capture=names)
    nodes = {shown.node.output.name: shown.node for shown in chosen}
    pictures = (_picture(nodes[name].name, nodes[name].op, results[name], channels, sample) for name in names)
    return tuple(picture for picture in pictures if picture is not None)


def captured(chosen: Sequence[Shown]) -> tuple[str, ...]:
    """Names of the tensors that are drawn: of samples, channels, and up to three axes more."""
    shown = (each.node.output for each in chosen if each.activations)
    return tuple(value.name for value in shown if 2 <= value.type.rank <= 5)


def _picture(layer: str, op: str, result: Array, channels: int, sample: int) -> Picture | None:
    if not 0 <= sample < len(result):
        raise InputError(f"there is no sample {sample} among {len(result)}", where="sample", hint="count from 0")
    if result.size == 0 or result.dtype.kind not in "fiub":
        return None
    shown = np.asarray(result[sample, :channels], np.float64)
    scale = scale_of(shown)
    tiles, what, slices = _tiles(shown)
    depth = result.shape[2] if result.ndim == 5 else slices
    return Picture(
        layer=layer,
        op=op,
        what="activations",
        shape=tuple(result.shape),
        low=scale.low,
        high=scale.high,
        colours=scale.colours,
        shown=what if len(result) == 1 else f"sample {sample}; {what}",
        left_out=missing((len(shown), result.shape[1], "channels"), (slices, depth, "slices")),
        pixels=sheet(tiles, paint(tiles.values, scale)),
    )


def _tiles(values: Array) -> tuple[Tiles, str, int]:
    """Tiles of [C, ...], what they are, and how many slices of the depth they show, 1 where there is none."""
    count = len(values)
    if values.ndim == 1 or values[0].size == 1:
        return Tiles(values.reshape(count, 1, 1), min(count, 32)), "a square is a channel", 1
    if values.ndim == 2:
        wide = max(1, STRIP_WIDTH // values.shape[1])
        strips = values.repeat(wide, axis=1)[:, None].repeat(STRIP_HEIGHT, axis=1)
        return Tiles(strips, 1), "a strip is a channel", 1
    if values.ndim == 3:
        maps, step = averaged(values)
        return Tiles(maps, nearly_square(count)), f"a tile is a channel{_averages(step)}", 1
    depth = values.shape[1]
    chosen = np.unique(np.linspace(0, depth - 1, min(depth, MOST_SLICES)).round().astype(int))
    slices, step = averaged(values[:, chosen].reshape(-1, *values.shape[2:]))
    what = f"a row is a channel, a tile a slice of its depth{_averages(step)}"
    return Tiles(slices, len(chosen)), what, len(chosen)


def _averages(step: int) -> str:
    return "" if step == 1 else f", each {step}x{step} elements averaged"
