"""Random convolutions of every kind against their definitions; one compiled variant a kernel serves all sizes."""

from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernels.test_conv_depthwise import run_depthwise
from tests.kernels.test_conv_direct import run_conv
from tests.kernels.test_conv_transpose import run_transpose
from tests.numeric.tolerance import bound

pytestmark = pytest.mark.jit
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
TILES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))


def _pair(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw):
    """x, w, stride, dilation, pads, groups of a 2-D convolution with at least one output pixel."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    ic, oc = draw(st.integers(1, 20)) * groups, draw(st.integers(1, 20)) * groups
    window, stride, dilation = draw(_pair(1, 5)), draw(_pair(1, 3)), draw(_pair(1, 3))
    begins, ends = draw(_pair(0, 4)), draw(_pair(0, 4))
    least = [max(1, (window[a] - 1) * dilation[a] + 1 - begins[a] - ends[a]) for a in range(2)]
    size = tuple(draw(st.integers(low, low + 17)) for low in least)
    return {
        "x": (draw(st.integers(1, 2)), ic, *size),
        "w": (oc, ic // groups, *window),
        "stride": stride,
        "dilation": dilation,
        "pads": begins + ends,
        "groups": groups,
    }


@FEW
@given(case=convolutions(), tiles=TILES, plain=st.booleans(), splits=st.integers(1, 4))
def test_direct(case, tiles, plain, splits):
    got, expected, bound = run_conv(case, tiles=tiles, plain=plain, splits=splits)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@FEW
@given(case=convolutions(), rows=st.integers(1, 5), splits=st.integers(1, 4))
def test_depthwise(case, rows, splits):
    layer = {"x": case["x"], "k": case["w"][2:], "stride": case["stride"], "pads": case["pads"]}
    layer["dilation"] = case["dilation"]
    got, expected = run_depthwise(layer, runtime_window=True, item_rows=rows, splits=splits)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, prod(layer["k"])))


@st.composite
def transposed(draw):
    """A transposed convolution whose output is not empty after the pads are cut off."""
    groups = draw(st.sampled_from([1, 1, 2]))
    window, stride, dilation = draw(_pair(1, 4)), draw(_pair(1, 3)), draw(_pair(1, 2))
    size, extra = draw(_pair(1, 9)), tuple(draw(st.integers(0, step - 1)) for step in stride)
    full = [(size[a] - 1) * stride[a] + (window[a] - 1) * dilation[a] + 1 + extra[a] for a in range(2)]
    begins = tuple(draw(st.integers(0, min(3, full[a] - 1))) for a in range(2))
    ends = tuple(draw(st.integers(0, min(3, full[a] - 1 - begins[a]))) for a in range(2))
    ic, oc_group = draw(st.integers(1, 12)) * groups, draw(st.integers(1, 20))
    return {
        "x": (draw(st.integers(1, 2)), ic, *size),
        "w": (ic, oc_group, *window),
        "stride": stride,
        "dilation": dilation,
        "pads": begins + ends,
        "extra": extra,
        "groups": groups,
    }


@FEW
@given(case=transposed(), tiles=TILES, splits=st.integers(1, 4))
def test_transposed(case, tiles, splits):
    got, expected = run_transpose(case, tiles=tiles, splits=splits)
    products = case["w"][0] // case["groups"] * prod(case["w"][2:])
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, products))
