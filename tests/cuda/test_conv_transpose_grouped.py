"""Transposed convolutions of any groups on the emulator, against scattering."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cuda.conv_layers import run_grouped_transpose
from tests.kernels.test_conv_properties import transposed
from tests.kernels.test_conv_transpose import CASES
from tests.numeric.tolerance import bound

pytest.importorskip("numba_cuda")

MORE = {
    "a filter a channel": {"x": (1, 9, 3, 4), "w": (9, 1, 8, 8), "stride": (4, 4), "groups": 9, "pads": (2, 2, 2, 2)},
    "quads": {"x": (2, 24, 4, 3), "w": (24, 8, 3, 3), "stride": (2, 2), "groups": 3, "pads": (1, 0, 1, 1)},
    "pieces": {"x": (1, 12, 4, 3), "w": (12, 3, 3, 2), "stride": (2, 1), "groups": 2, "pieces": (5, 7)},
    "no common divisor": {"x": (1, 4, 5, 6), "w": (4, 2, 4, 5), "stride": (3, 4), "dilation": (2, 6), "groups": 2},
}


def check(case, **options):
    outcome = run_grouped_transpose(case, **options)
    limit = bound(outcome.got, outcome.expected, outcome.products)
    np.testing.assert_allclose(outcome.got, outcome.expected, rtol=0, atol=limit)
    assert outcome.counters.issued["load local"] == 0


@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_equals_definition(name):
    check({**CASES, **MORE}[name], gap=16)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=transposed(), seed=st.integers(0, 99))
def test_any_transposed_convolution(case, seed):
    check(case, seed=seed)
