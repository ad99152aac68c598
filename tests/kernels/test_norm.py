"""Normalizations against the NumPy references in float64."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime import host
from cnnc.runtime.cpu import lrn, norm_group, norm_instance_blocked, norm_layer
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels.guarded import float_bits, from_blocked, to_blocked
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
L = host_target().lanes
EPSILON = 1e-5


def _random(*shape, offset=0.0):
    return (np.random.default_rng(sum(shape)).normal(size=shape) + offset).astype(np.float32)


@pytest.mark.parametrize(("shape", "groups"), [((2, 6, 5, 7), 3), ((1, 4, 100), 4), ((3, 5, 1, 1), 1), ((1, 2, 3), 2)])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_group(shape, groups, offset):
    x, scale, bias = _random(*shape, offset=offset), _random(shape[1], offset=1.0), _random(shape[1])
    positions = int(np.prod(shape[2:]))
    sizes = norm_group.arguments(shape[0], groups, shape[1] // groups, positions, float_bits(EPSILON))
    buffers = {"y": poison(shape), "x": x, "scale": scale, "bias": bias}
    got = run(Variant.of("norm.group"), buffers, sizes)["y"]
    wide = x.astype(np.float64)
    expected = host.function("group_normalization")(wide, scale, bias, num_groups=groups, epsilon=EPSILON)
    # The rounding of x itself, relative to its spread of 1, bounds what is possible.
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5 + offset * 1e-6)


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("shape", [(3, 1), (5, 77), (2, 768)])
def test_layer(kind, shape):
    x, scale, bias = _random(*shape, offset=0.5), _random(shape[1], offset=1.0), _random(shape[1])
    has_bias = kind == "layer"
    sizes = norm_layer.arguments(*shape, float_bits(EPSILON), has_bias)
    buffers = {"y": poison(shape), "x": x, "scale": scale, "bias": bias if has_bias else None}
    got = run(Variant.of("norm.layer", kind=kind), buffers, sizes)["y"]
    wide = x.astype(np.float64)
    if kind == "layer":
        expected = host.function("layer_normalization")(wide, scale, bias, epsilon=EPSILON)[0]
    else:
        expected = host.function("rms_normalization")(wide, scale, epsilon=EPSILON)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 19, 35), (1, 33, 6)])
def test_instance_blocked(shape):
    n, c, s = shape
    x, scale, bias = _random(*shape, offset=3.0), _random(c), _random(c)
    blocked = to_blocked(x, L, pad=1e3)
    blocks = blocked.shape[1]
    pack = [np.pad(vector, (0, blocks * L - c)) for vector in (scale, bias)]
    sizes = norm_instance_blocked.arguments(n, blocks, s, float_bits(EPSILON))
    buffers = {"y": poison(blocked.shape), "x": blocked, "scale": pack[0], "bias": pack[1]}
    y = run(Variant.of("norm.instance_blocked", lanes=L), buffers, sizes)["y"]
    expected = host.function("instance_normalization")(x.astype(np.float64), scale, bias, epsilon=EPSILON)
    np.testing.assert_allclose(from_blocked(y, c), expected, rtol=1e-5, atol=2e-5)
    assert (from_blocked(y, blocks * L)[:, c:] == 0).all()


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 35, 19), (1, 16, 70)])
def test_lrn(size, shape):
    n, c, s = shape
    x = _random(*shape) * 5
    attributes = {"size": size, "alpha": 0.3, "beta": 0.75, "bias": 2.0}
    expected = host.function("lrn")(x.astype(np.float64), **attributes)
    sizes = lrn.arguments(n, c, s, size, float_bits(0.3 / size), float_bits(0.75), float_bits(2.0))
    plain = run(Variant.of("lrn.plain"), {"y": poison(shape), "x": x}, sizes)["y"]
    np.testing.assert_allclose(plain, expected, rtol=3e-6)
    blocked = to_blocked(x, L, pad=np.nan)
    y = run(Variant.of("lrn.blocked", lanes=L), {"y": poison(blocked.shape), "x": blocked}, sizes)["y"]
    np.testing.assert_allclose(from_blocked(y, c), expected, rtol=3e-6)
    assert (from_blocked(y, blocked.shape[1] * L)[:, c:] == 0).all()
