"""Normalizations on the emulator, against the NumPy references in float64."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime import host
from cnnc.runtime.cpu import lrn, norm_group, norm_instance_blocked, norm_layer
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels.guarded import float_bits

EPSILON = 1e-5


def _random(*shape, offset=0.0):
    return (np.random.default_rng(sum(shape)).normal(size=shape) + offset).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "groups"), [((2, 6, 5, 7), 3), ((1, 4, 300), 2), ((3, 5, 1, 1), 1), ((1, 2, 3), 2), ((1, 3, 40, 41), 3)]
)
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_group(shape, groups, offset):
    x, scale, bias = _random(*shape, offset=offset), _random(shape[1], offset=1.0), _random(shape[1])
    sizes = norm_group.arguments(shape[0], groups, shape[1] // groups, int(np.prod(shape[2:])), float_bits(EPSILON))
    wide = x.astype(np.float64)
    expected = host.function("group_normalization")(wide, scale, bias, num_groups=groups, epsilon=EPSILON)
    # In place; the rounding of x itself, relative to its spread of 1, bounds what is possible.
    counters = launch(Variant.of("norm.group"), {"y": x, "x": x, "scale": scale, "bias": bias}, sizes)
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=2e-5 + offset * 1e-6)
    assert counters.conflicts == 0


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("shape", [(3, 1), (11, 77), (2, 768)])
def test_layer(kind, shape):
    x, scale, bias = _random(*shape, offset=0.5), _random(shape[1], offset=1.0), _random(shape[1])
    has_bias = kind == "layer"
    sizes = norm_layer.arguments(*shape, float_bits(EPSILON), has_bias)
    y = np.full_like(x, np.nan)
    buffers = {"y": y, "x": x, "scale": scale, "bias": bias if has_bias else None}
    launch(Variant.of("norm.layer", kind=kind), buffers, sizes)
    wide = x.astype(np.float64)
    if kind == "layer":
        expected = host.function("layer_normalization")(wide, scale, bias, epsilon=EPSILON)[0]
    else:
        expected = host.function("rms_normalization")(wide, scale, epsilon=EPSILON)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 19, 35), (1, 9, 230)])
def test_instance_blocked(shape):
    n, c, s = shape
    x, scale, bias = _random(*shape, offset=3.0), _random(c), _random(c)
    source = blocked(x, pad=1e3)
    blocks = source.shape[1]
    vectors = [np.pad(vector, (0, blocks * 8 - c)) for vector in (scale, bias)]
    sizes = norm_instance_blocked.arguments(n, blocks, s, float_bits(EPSILON))
    y = np.full_like(source, np.nan)
    buffers = {"y": y, "x": source, "scale": vectors[0], "bias": vectors[1]}
    counters = launch(Variant.of("norm.instance_blocked", lanes=8), buffers, sizes)
    expected = host.function("instance_normalization")(x.astype(np.float64), scale, bias, epsilon=EPSILON)
    np.testing.assert_allclose(plain(y, c), expected, rtol=1e-5, atol=2e-5)
    assert (plain(y, blocks * 8)[:, c:] == 0).all()
    # Three times x, once y, and scale and bias by every warp.
    assert counters.sectors <= 1.1 * (4 * x.nbytes / 32 + 2 * n * blocks * 16) + 32 * s / 8


@pytest.mark.parametrize("size", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 35, 19), (1, 16, 70)])
def test_lrn(size, shape):
    n, c, s = shape
    x = _random(*shape) * 5
    expected = host.function("lrn")(x.astype(np.float64), size=size, alpha=0.3, beta=0.75, bias=2.0)
    sizes = lrn.arguments(n, c, s, size, float_bits(0.3 / size), float_bits(0.75), float_bits(2.0))
    y = np.full_like(x, np.nan)
    launch(Variant.of("lrn.plain"), {"y": y, "x": x}, sizes)
    np.testing.assert_allclose(y, expected, rtol=3e-6)
    source = blocked(x)
    y = np.full_like(source, np.nan)
    counters = launch(Variant.of("lrn.blocked", lanes=8), {"y": y, "x": source}, sizes)
    np.testing.assert_allclose(plain(y, c), expected, rtol=3e-6)
    assert (plain(y, source.shape[1] * 8)[:, c:] == 0).all()
    # A window reaches half a sector into the next block.
    assert counters.sectors <= 1.5 * counters.least_sectors
    assert not counters.issued["load local"]
