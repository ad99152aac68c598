"""Convolutions against sums over their windows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc import dsl, interp
from cnnc.ir import Array
from tests.dsl.evaluation import close, evaluate, random


def convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Array:
    """The sum over taps, each a strided view of the padded x."""
    rank = x.ndim - 2
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *pads))
    kernel = weight.shape[2:]
    sizes = [(x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(rank)]
    inside, outside = weight.shape[1], weight.shape[0] // groups
    result = np.zeros((x.shape[0], weight.shape[0], *sizes))
    for tap in itertools.product(*map(range, kernel)):
        begins = [tap[i] * dilation[i] for i in range(rank)]
        view = x[(..., *(slice(b, b + stride[i] * sizes[i], stride[i]) for i, b in enumerate(begins)))]
        for group in range(groups):
            to, of = slice(group * outside, (group + 1) * outside), slice(group * inside, (group + 1) * inside)
            result[:, to] += np.einsum("nc...,oc->no...", view[:, of], weight[to][(..., *tap)])
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def transposed(
    x: Array,
    weight: Array,
    *,
    stride: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Array:
    """Each element of x scatters its window; the padding is cut off in the end."""
    rank = x.ndim - 2
    kernel, inside, outside = weight.shape[2:], weight.shape[0] // groups, weight.shape[1]
    sizes = [(x.shape[2 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in range(rank)]
    result = np.zeros((x.shape[0], outside * groups, *sizes))
    for tap in itertools.product(*map(range, kernel)):
        at = [
            slice(tap[i] * dilation[i], tap[i] * dilation[i] + stride[i] * x.shape[2 + i], stride[i])
            for i in range(rank)
        ]
        for group in range(groups):
            to, of = slice(group * outside, (group + 1) * outside), slice(group * inside, (group + 1) * inside)
            result[(slice(None), to, *at)] += np.einsum("nc...,co->no...", x[:, of], weight[of][(..., *tap)])
    return result[(..., *(slice(before, size - after) for (before, after), size in zip(pads, sizes)))]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_conv_is_a_sum_over_its_window(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    axes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, stride, dilation = data.draw(axes), data.draw(axes), data.draw(axes)
    pads = data.draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * rank))
    groups = data.draw(st.integers(1, 3))
    channels, outputs = groups * data.draw(st.integers(1, 2)), groups * data.draw(st.integers(1, 2))
    sizes = [dilation[i] * (kernel[i] - 1) + 1 + data.draw(st.integers(0, 3)) for i in range(rank)]
    x = random(data.draw(st.integers(1, 2)), channels, *sizes)
    weight, bias = random(outputs, channels // groups, *kernel, seed=1), random(outputs, seed=2)
    got = evaluate(
        lambda x: dsl.conv(x, weight, bias, stride=stride, padding=pads, dilation=dilation, groups=groups), x
    )
    close(got, convolution(x, weight, bias, stride=stride, pads=pads, dilation=dilation, groups=groups))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_transposed_conv_scatters_its_window(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    axes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, stride, dilation = data.draw(axes), data.draw(axes), data.draw(axes)
    groups = data.draw(st.integers(1, 2))
    sizes = data.draw(st.tuples(*[st.integers(2, 4)] * rank))
    pads = [(data.draw(st.integers(0, (kernel[i] - 1) * dilation[i] // 2)),) * 2 for i in range(rank)]
    x, weight = random(2, 2 * groups, *sizes), random(2 * groups, 3, *kernel, seed=1)
    got = evaluate(
        lambda x: dsl.conv_transpose(x, weight, stride=stride, padding=pads, dilation=dilation, groups=groups), x
    )
    close(got, transposed(x, weight, stride=stride, pads=tuple(pads), dilation=dilation, groups=groups))


@pytest.mark.parametrize(
    ("padding", "pads"),
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 0), (0, 2)), ((1, 0), (0, 2))),
        ([(0, 1), 2], ((0, 1), (2, 2))),
        ("valid", ((0, 0), (0, 0))),
        # 7 x 8 with stride 2 and windows of 3 x 4 gives 4 x 4; the odd element of padding goes behind.
        ("same", ((1, 1), (1, 1))),
    ],
)
def test_forms_of_padding(padding: Any, pads: tuple[tuple[int, int], ...]) -> None:
    x, weight = random(1, 2, 7, 8), random(3, 2, 3, 4, seed=1)
    wanted = convolution(x, weight, None, stride=(2, 2), pads=pads, dilation=(1, 1), groups=1)
    close(evaluate(lambda x: dsl.conv(x, weight, stride=2, padding=padding), x), wanted)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 9), kernel=st.integers(1, 5), stride=st.integers(1, 3), dilation=st.integers(1, 2))
def test_same_padding_gives_the_size_over_the_stride(size: int, kernel: int, stride: int, dilation: int) -> None:
    weight = np.ones((1, 1, kernel), np.float32)
    got = evaluate(
        lambda x: dsl.conv(x, weight, stride=stride, padding="same", dilation=dilation),
        np.ones((1, 1, size), np.float32),
    )
    assert got.shape == (1, 1, -(-size // stride))


@pytest.mark.parametrize("padding", [0, 1, "same"])
def test_output_padding_and_layers_of_each_rank(padding: int | str) -> None:
    for rank, layer in enumerate((dsl.ConvTranspose1d, dsl.ConvTranspose2d, dsl.ConvTranspose3d), start=1):
        x = random(1, 3, *[4] * rank)
        got = evaluate(layer(3, 2, 3, stride=2, padding=padding, output_padding=0 if padding == "same" else 1), x)
        size = 8 if padding == "same" else 3 * 2 + 3 + 1 - 2 * int(padding)
        assert got.shape == (1, 2, *[size] * rank)


@pytest.mark.parametrize(("layer", "rank"), [(dsl.Conv1d, 1), (dsl.Conv2d, 2), (dsl.Conv3d, 3)])
def test_layers_hold_weight_and_bias(layer: type[dsl.Conv2d], rank: int) -> None:
    model = dsl.model(layer(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), ("N", 4, *[9] * rank))
    shapes = {name: parameter.shape for name, parameter in model.parameters.items()}
    assert shapes == {"weight": (6, 2, *[3] * rank), "bias": (6,)}
    assert str(model.graph().outputs[0].type) == f"f32[N, 6, {', '.join(['4'] * rank)}]"


def test_depthwise() -> None:
    x = random(1, 3, 6, 6)
    model = dsl.model(dsl.DepthwiseConv2d(3, 3, multiplier=2, padding=1, stride=2, bias=False), x.shape)
    assert model.parameters["weight"].shape == (6, 1, 3, 3)
    assert model.macs() == 9 * 6 * 9


def test_separable_costs_a_window_and_a_point() -> None:
    model = dsl.model(dsl.SeparableConv2d(8, 16, 3, padding=1), (1, 8, 10, 10))
    assert list(model.parameters) == ["depthwise.weight", "pointwise.weight", "pointwise.bias"]
    assert model.macs() == 100 * (8 * 9 + 8 * 16)


def test_spatially_separable_is_the_product_of_its_windows() -> None:
    x = random(1, 1, 7, 7)
    network = dsl.SpatiallySeparableConv2d(1, 1, 3, padding=1, stride=2, bias=False)
    model = dsl.model(network, x.shape)
    column, row = random(1, 1, 3, 1, seed=1), random(1, 1, 1, 3, seed=2)
    model.set("vertical.weight", column)
    model.set("horizontal.weight", row)
    got = interp.run(model.graph(), {"x": x})["output"]
    window = column * row
    close(got, convolution(x, window, None, stride=(2, 2), pads=((1, 1), (1, 1)), dilation=(1, 1), groups=1))


def test_spatially_separable_has_its_own_channels_between() -> None:
    model = dsl.model(dsl.SpatiallySeparableConv2d(4, 8, 7, middle_channels=6, padding="same"), (1, 4, 9, 9))
    assert model.macs() == 81 * (4 * 6 * 7 + 6 * 8 * 7)
