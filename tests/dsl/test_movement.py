"""What moves elements, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc import dsl
from cnnc.ir import Array
from tests.dsl.evaluation import evaluate, graph_of, random

X = random(2, 6, 4, 5)


def equal(network: dsl.Network, wanted: Array, x: Array = X, *, open_batch: bool = True) -> None:
    np.testing.assert_array_equal(evaluate(network, x, open_batch=open_batch), wanted)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_flatten(axis: int) -> None:
    rows = int(np.prod(X.shape[:axis]))
    equal(lambda x: dsl.flatten(x, axis), X.reshape(rows, -1))
    equal(dsl.Flatten(axis), X.reshape(rows, -1))


def test_reshape_keeps_open_sizes_at_their_places() -> None:
    equal(lambda x: dsl.reshape(x, (x.shape[0], 6, 20)), X.reshape(2, 6, 20))
    equal(lambda x: dsl.reshape(x, (x.shape[0], -1)), X.reshape(2, 120))
    equal(lambda x: dsl.reshape(x, (6, x.shape[0], 20)), X.reshape(6, 2, 20))
    equal(lambda x: dsl.reshape(x, (-1, 5)), X.reshape(-1, 5))


def test_transpose() -> None:
    equal(lambda x: dsl.transpose(x, (0, 2, 3, 1)), X.transpose(0, 2, 3, 1))
    equal(lambda x: x.transpose(0, 2, 3, 1), X.transpose(0, 2, 3, 1))


def test_squeeze_and_unsqueeze() -> None:
    equal(lambda x: dsl.unsqueeze(x, [1, 3]), X[:, None, :, None])
    equal(lambda x: dsl.squeeze(dsl.unsqueeze(x, [2, 5]), [2, -1]), X)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), axis=st.sampled_from([1, 2, -1]))
def test_split_and_concat_are_inverse(sizes: list[int], axis: int) -> None:
    shape = [2, 3, 3, 3]
    shape[axis] = sum(sizes)
    x = random(*shape)
    parts = evaluate(lambda x: dsl.split(x, sizes, axis), x)
    for part, wanted in zip(parts if len(sizes) > 1 else [parts], np.split(x, np.cumsum(sizes)[:-1], axis)):
        np.testing.assert_array_equal(part, wanted)
    equal(lambda x: dsl.concat(dsl.split(x, sizes, axis), axis), x, x)


def test_split_in_equal_parts() -> None:
    for part, wanted in zip(evaluate(lambda x: dsl.split(x, 3), X), np.split(X, 3, axis=1)):
        np.testing.assert_array_equal(part, wanted)


def test_concat_takes_arrays() -> None:
    ones = np.ones((2, 1, 4, 5), np.float32)
    equal(lambda x: dsl.concat([ones, x]), np.concatenate([ones, X], axis=1), open_batch=False)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad_counts_from_the_last_axis(mode: str) -> None:
    wanted = np.pad(X, [(0, 0), (0, 0), (1, 2), (0, 3)], mode=mode)  # type: ignore[call-overload]
    equal(lambda x: dsl.pad(x, [(1, 2), (0, 3)], mode=mode), wanted)
    equal(dsl.Pad([(1, 2), (0, 3)], mode=mode), wanted)


def test_pad_with_a_value_and_negative_widths() -> None:
    wanted = np.pad(X, [(0, 0), (0, 0), (0, 0), (2, 0)], constant_values=7)[..., :-1]
    equal(lambda x: dsl.pad(x, [(2, -1)], value=7), wanted)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle_deals_channels_out(groups: int) -> None:
    wanted = X.reshape(2, groups, 6 // groups, 4, 5).swapaxes(1, 2).reshape(X.shape)
    equal(lambda x: dsl.channel_shuffle(x, groups), wanted)
    equal(dsl.ChannelShuffle(groups), wanted)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffle_and_back(factor: int) -> None:
    x = random(2, 2 * factor**2, 3, 4)
    wanted = x.reshape(2, 2, factor, factor, 3, 4).transpose(0, 1, 4, 2, 5, 3).reshape(2, 2, 3 * factor, 4 * factor)
    equal(lambda x: dsl.pixel_shuffle(x, factor), wanted, x)
    equal(dsl.PixelShuffle(factor), wanted, x)
    back = wanted.reshape(2, 2, 3, factor, 4, factor).transpose(0, 3, 5, 1, 2, 4).reshape(x.shape)
    equal(lambda x: dsl.pixel_unshuffle(x, factor), back, wanted)


# ---- indices --------------------------------------------------------------------------------------------------------

LIMITS = st.one_of(st.none(), st.integers(-7, 7))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_indices_are_those_of_numpy(data: st.DataObject) -> None:
    x = random(*data.draw(st.tuples(*[st.integers(1, 5)] * data.draw(st.integers(1, 4)))))
    parts: list[object] = []
    for size in x.shape[: data.draw(st.integers(0, x.ndim))]:
        if data.draw(st.booleans()):
            parts.append(data.draw(st.integers(-size, size - 1)))
        else:
            parts.append(slice(data.draw(LIMITS), data.draw(LIMITS), data.draw(st.sampled_from([None, 1, 2, 3]))))
    if data.draw(st.booleans()):
        # What stands behind the ellipsis counts from the last axis, so it must fit there.
        parts.insert(data.draw(st.integers(0, len(parts))), ...)
    index = tuple(parts)
    try:
        wanted = x[index]
    except IndexError:
        return
    np.testing.assert_array_equal(evaluate(lambda x: x[index], x), wanted)


def test_an_index_of_everything_is_the_tensor_itself() -> None:
    assert not list(graph_of(lambda x: x[:, ..., :], X).nodes)
    assert not list(graph_of(lambda x: x[...], X).nodes)


def test_indices_beside_an_open_batch() -> None:
    equal(lambda x: x[:, 1::2, -1], X[:, 1::2, -1])
    equal(lambda x: x[:, 2], X[:, 2])
