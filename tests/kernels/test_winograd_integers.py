"""Winograd's method in integers: its matrices, ranges and scales, on plain integers of any size."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu.winograd_integers import MOST_OUTPUTS, integer_matrices, inverse_and_shift, result_limit

OUTPUTS = range(2, MOST_OUTPUTS + 1)
INT16 = np.iinfo(np.int16)


@pytest.mark.parametrize("m", OUTPUTS)
def test_integers_give_scaled_convolutions(m: int) -> None:
    found = integer_matrices(m, 3)
    inputs, filters, outputs = (np.rint(x).astype(np.int64) for x in (found.inputs, found.filters, found.outputs))
    for exact, x in ((inputs, found.inputs), (filters, found.filters), (outputs, found.outputs)):
        np.testing.assert_array_equal(exact, x)
    rng = np.random.default_rng(m)
    d, g = rng.integers(-1000, 1000, (m + 2, m + 2)), rng.integers(-1000, 1000, (3, 3))
    got = outputs @ ((filters @ g @ filters.T) * (inputs @ d @ inputs.T)) @ outputs.T
    expected = [[int((d[y : y + 3, x : x + 3] * g).sum()) for x in range(m)] for y in range(m)]
    np.testing.assert_array_equal(got, found.scale**2 * np.array(expected))


@pytest.mark.parametrize("m", OUTPUTS)
def test_transforms_of_extreme_bytes_fit_16_bits(m: int) -> None:
    found = integer_matrices(m, 3)
    inputs, filters = np.kron(found.inputs, found.inputs), np.kron(found.filters, found.filters)
    for largest in (np.maximum(inputs, 0).sum(1).max() * 255, -np.minimum(inputs, 0).sum(1).min() * 255):
        assert largest <= INT16.max
    # Of all weights -128..127, those with the signs of a row give its largest magnitude.
    assert np.abs(filters).sum(1).max() * 128 <= INT16.max


@pytest.mark.parametrize(("m", "limit"), [(2, 2**29), (3, 2**29), (4, 2**25)])
def test_results_are_recovered_modulo_2_to_the_32(m: int, limit: int) -> None:
    assert result_limit((m, m)) == limit
    scale = integer_matrices(m, 3).scale ** 2
    inverse, shift = inverse_and_shift(scale)
    for result in (0, 1, -1, 12345, limit - 1, -limit):
        word = np.array(scale * result * inverse % 2**32, np.uint32).view(np.int32)
        assert int(word) >> shift == result
    beyond = np.array(scale * limit * inverse % 2**32, np.uint32).view(np.int32)
    assert int(beyond) >> shift != limit
