"""Transposed convolutions on the emulator, against scattering: strides, dilations, pads, output padding, groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.runtime.cuda.conv_phases import axis_phases, phase_dilation
from tests.cuda.conv_layers import run_transpose
from tests.kernels.test_conv_properties import transposed
from tests.kernels.test_conv_transpose import CASES
from tests.numeric.tolerance import bound

pytest.importorskip("numba_cuda")


def check(case, **options):
    outcome = run_transpose(case, **options)
    limit = bound(outcome.got, outcome.expected, outcome.products)
    np.testing.assert_allclose(outcome.got, outcome.expected, rtol=0, atol=limit)


@pytest.mark.parametrize("name", [name for name in CASES if name != "groups"])
def test_equals_definition(name):
    check(CASES[name])


@pytest.mark.parametrize("splits", [1, 2])
def test_groups_of_whole_blocks(splits):
    layer = {"x": (1, 32, 4, 5), "w": (32, 24, 3, 3), "stride": (2, 2), "groups": 2, "pads": (1, 1, 1, 1)}
    check({**layer, "extra": (1, 1)}, splits=splits)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=transposed().filter(lambda case: case["groups"] == 1))
def test_any_transposed_convolution(case):
    check(case)


@given(*(st.integers(1, 6) for _ in range(3)), st.integers(0, 5), st.integers(1, 7))
def test_phases_read_what_the_definition_does(kernel, stride, dilation, begin, size):
    found = {}
    for phase in axis_phases(kernel, stride, dilation, begin):
        for q in range(size):
            reads = [(tap, q - phase.begin + phase_dilation(stride, dilation) * j) for j, tap in enumerate(phase.taps)]
            found[q * stride + phase.first] = reads
    for output, reads in found.items():
        places = [(tap, output + begin - tap * dilation) for tap in range(kernel)]
        assert reads == [(tap, place // stride) for tap, place in places if place % stride == 0]
