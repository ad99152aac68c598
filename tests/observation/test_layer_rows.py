"""Rows of inputs times rows of weights are the layer's result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.observation import layer_rows
from cnnc.observation.layer_rows import channel_axis, has_rows, input_blocks, input_rows, layer_weights, weight_rows
from cnnc.runtime.host.conv import conv as conv_reference
from tests.observation.layers import conv, gemm, random

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((2, 3, 7, 5), (4, 3, 3, 2), {"pads": (1, 0, 1, 1)}),
        ((2, 6, 9, 9), (6, 1, 3, 3), {"group": 6, "strides": (2, 2), "pads": (0, 0, 1, 1)}),
        ((1, 4, 8, 9), (6, 2, 2, 3), {"group": 2, "dilations": (3, 2)}),
        ((3, 2, 11), (5, 2, 4), {"strides": (3,)}),
        ((1, 2, 4, 5, 6), (3, 2, 2, 2, 2), {}),
    ],
)
def test_a_conv_is_a_product_of_rows(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    data, weights = random(*x), random(*w, seed=1)
    layer = conv(x, weights, **attrs)
    wanted = conv_reference(data, weights, **attrs)
    product = input_rows(layer, data, 10**6, GENERATOR) @ weight_rows(layer, weights).transpose(0, 2, 1)
    got = np.moveaxis(wanted, 1, -1).reshape(-1, wanted.shape[1])
    assert np.allclose(product.transpose(1, 0, 2).reshape(got.shape), got, atol=1e-5)
    assert (layer_weights(layer, weight_rows(layer, weights)) == weights).all()
    assert channel_axis(layer) == 0


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_is_a_product_of_rows(transposed: int) -> None:
    data, weights = random(5, 7), random(*((3, 7) if transposed else (7, 3)))
    layer = gemm((5, 7), weights, transB=transposed)
    [rows], [by_row] = input_rows(layer, data, 100, GENERATOR), weight_rows(layer, weights)
    assert np.allclose(rows @ by_row.T, data @ (weights.T if transposed else weights), atol=1e-5)
    assert (layer_weights(layer, weight_rows(layer, weights)) == weights).all()
    assert weights.shape[channel_axis(layer)] == 3
    assert has_rows(layer)


def test_places_are_drawn_from_many() -> None:
    data = random(2, 3, 8, 8)
    layer = conv(data.shape, random(1, 3, 1, 1))
    [rows] = input_rows(layer, data, 20, np.random.default_rng(1))
    assert rows.shape == (40, 3)
    everywhere = {tuple(row) for row in np.moveaxis(data, 1, -1).reshape(-1, 3).tolist()}
    drawn = {tuple(row) for row in rows.tolist()}
    assert len(drawn) == 40 and drawn <= everywhere


@pytest.mark.parametrize("size", [1, 10, 11, 21, 30])
def test_blocks_cover_the_inputs(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_rows, "BLOCK", 10)
    covered = [index for block in input_blocks(size) for index in range(size)[block]]
    assert covered == list(range(size))
    assert max(block.stop - block.start for block in input_blocks(size)) <= 10
