"""Bytes without their zero words come back bit for bit; damaged ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cnnc.runtime.zero_words import LEAST_BYTES, WORDS, ZeroForm, pack_zeros, unpack_zeros

CHUNKS = 5 * 32768


def with_zeros(elements: int, share: float, dtype: type = np.float32, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    is_integer = np.issubdtype(dtype, np.integer)
    values = (rng.integers(1, 100, elements) if is_integer else rng.standard_normal(elements)).astype(dtype)
    values[rng.random(elements) < share] = 0
    return values.view(np.uint8)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("share", [0.45, 0.6, 0.9, 0.99])
def test_round_trip(dtype: type, share: float) -> None:
    data = with_zeros(CHUNKS + 12345, share, dtype)
    packed = pack_zeros(data, 0.75)
    assert packed is not None
    form, stored = packed
    assert stored.size <= (1 - share + 0.15) * data.size
    content = unpack_zeros(stored, form, data.size)
    np.testing.assert_array_equal(content, data)
    assert content.ctypes.data % 64 == stored.ctypes.data % 64 == 0


@given(elements=st.integers(LEAST_BYTES // 4, LEAST_BYTES), kept=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_any_size_and_few_non_zeros(elements: int, kept: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.zeros(elements, np.float32)
    values[rng.integers(0, elements, kept)] = rng.standard_normal(kept)
    packed = pack_zeros(values.view(np.uint8), 0.5)
    assert packed is not None
    np.testing.assert_array_equal(unpack_zeros(packed[1], packed[0], values.nbytes), values.view(np.uint8))


def test_all_bits_survive() -> None:
    """-0.0, NaNs with a payload, infinities and denormals are no zeros."""
    bits = np.zeros(4096, np.uint32)
    bits[100:105] = [0x80000000, 0x7FC12345, 0xFFC00001, 0x7F800000, 1]
    packed = pack_zeros(bits.view(np.uint8), 0.5)
    assert packed is not None
    np.testing.assert_array_equal(unpack_zeros(packed[1], packed[0], bits.nbytes).view(np.uint32), bits)


def test_only_zeros() -> None:
    data = np.zeros(1 << 20, np.uint8)
    packed = pack_zeros(data, 0.75)
    assert packed is not None
    assert packed[1].size <= data.size // 64
    np.testing.assert_array_equal(unpack_zeros(packed[1], packed[0], data.size), data)


def test_what_does_not_get_smaller_is_left_alone() -> None:
    assert pack_zeros(with_zeros(CHUNKS, 0.0), 0.9) is None
    assert pack_zeros(with_zeros(CHUNKS, 0.2), 0.75) is None
    assert pack_zeros(with_zeros(CHUNKS, 0.05, np.int8), 0.9) is None
    assert pack_zeros(np.zeros(LEAST_BYTES - 1, np.uint8), 0.9) is None
    assert pack_zeros(np.zeros(0, np.uint8), 0.9) is None


def test_sizes_that_are_no_whole_number_of_words() -> None:
    data = np.zeros(LEAST_BYTES + 3, np.uint8)
    data[7] = data[-1] = 1
    packed = pack_zeros(data, 0.75)
    assert packed is not None
    assert packed[0] == ZeroForm(1)
    np.testing.assert_array_equal(unpack_zeros(packed[1], packed[0], data.size), data)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_signs_of_zeros_survive(dtype: type) -> None:
    """A weight times a mask has -0.0 for half of its zeros."""
    rng = np.random.default_rng(3)
    values = (rng.standard_normal(CHUNKS + 321) * (rng.random(CHUNKS + 321) < 0.1)).astype(dtype)
    data = values.view(np.uint8)
    packed = pack_zeros(data, 0.5)
    assert packed is not None
    form, stored = packed
    assert form == ZeroForm(values.itemsize, True)
    np.testing.assert_array_equal(unpack_zeros(stored, form, data.size), data)


@pytest.mark.parametrize("word", WORDS)
def test_damaged_bytes_are_refused(word: int) -> None:
    size, form = 8 * 1001, ZeroForm(word)
    stored = np.zeros(form.stored_bytes(size, 2), np.uint8)
    stored[3] = 0b101
    assert unpack_zeros(stored, form, size).size == size
    for value, message in ((0b111, "more bits"), (0b1, "fewer bits")):
        stored[3] = value
        with pytest.raises(ValueError, match=message):
            unpack_zeros(stored, form, size)
    stored[3], stored[form.mask_bytes(size) - 1] = 0b101, 0xFF
    assert unpack_zeros(stored, form, size).size == size  # bits behind the last word mean nothing


@pytest.mark.parametrize(("word", "size", "stored"), [(4, 4001, 9000), (4, 4000, 100), (4, 4000, 130), (8, 4004, 128)])
def test_sizes_that_do_not_fit_are_refused(word: int, size: int, stored: int) -> None:
    with pytest.raises(ValueError, match="not those of its form"):
        unpack_zeros(np.zeros(stored, np.uint8), ZeroForm(word), size)
