"""Pools, resizing, and other windows over images, in plain and in blocked surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnc.ir import Value
from cnnc.ops.resize import COORDINATE_MODES, NEAREST_MODES
from tests.numeric.case import Build, Case
from tests.numeric.network import Network

POOLS: dict[str, dict[str, Any]] = {
    "2x2": {"kernel_shape": (2, 2), "strides": (2, 2)},
    "3x3": {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    "ceil": {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1},
    "ceil-padded": {"kernel_shape": (3, 2), "strides": (3, 2), "pads": (1, 0, 0, 1), "ceil_mode": 1},
    "asymmetric": {"kernel_shape": (3, 4), "pads": (0, 2, 2, 1)},
    "dilated": {"kernel_shape": (2, 3), "dilations": (2, 2), "pads": (1, 1, 1, 1)},
    "same-upper": {"kernel_shape": (3, 2), "strides": (2, 2), "auto_pad": "SAME_UPPER"},
    "same-lower": {"kernel_shape": (2, 2), "strides": (1, 2), "auto_pad": "SAME_LOWER"},
    "large": {"kernel_shape": (7, 7), "strides": (3, 3), "pads": (3, 3, 3, 3)},
}


def _pools(surroundings: str, **options: Any) -> Build:
    """Maximum and average of one window, the average with padding counted and not."""

    def build(net: Network) -> tuple[Value, ...]:
        x = net.input(2, 5, 7, 9)
        x = net.blocked(x, 19) if surroundings == "blocked" else x
        counted = {"count_include_pad": 1}
        return (
            net.op("max_pool", x, **options),
            net.op("average_pool", x, **options),
            net.op("average_pool", x, **options, **counted),
        )

    return build


def _pool_rank(shape: tuple[int, ...]) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = net.input(*shape)
        rank = len(shape) - 2
        options: dict[str, Any] = {"kernel_shape": (3,) * rank, "strides": (2,) * rank, "pads": (1,) * (2 * rank)}
        behind = net.blocked(x, 18)
        return tuple(net.op(op, value, **options) for op in ("max_pool", "average_pool") for value in (x, behind))

    return build


def _indices(**options: Any) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        return net.many("max_pool", net.input(2, 3, 7, 9), outputs=2, **options)

    return build


def _globals(shape: tuple[int, ...]) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = net.input(*shape)
        behind = net.blocked(x, 21)
        return tuple(net.op(f"global_{kind}_pool", value) for kind in ("max", "average", "lp") for value in (x, behind))

    return build


def _other_pools(net: Network) -> tuple[Value, ...]:
    x = net.input(1, 3, 6, 8)
    best, indices = net.many("max_pool", x, outputs=2, kernel_shape=(2, 2), strides=(2, 2))
    return net.op("lp_pool", x, kernel_shape=(2, 3)), net.op(
        "max_unpool", best, indices, kernel_shape=(2, 2), strides=(2, 2)
    )


def _resize(mode: str, coordinates: str, surroundings: str) -> Build:
    """Up, down, and to odd sizes, in one coordinate mode."""

    def build(net: Network) -> tuple[Value, ...]:
        x = net.input(2, 3, 5, 7)
        x = net.blocked(x, 18) if surroundings == "blocked" else x
        roi = net.const([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9]) if coordinates == "tf_crop_and_resize" else None
        options = {"mode": mode, "coordinate_transformation_mode": coordinates}
        made = [
            net.op("resize", x, roi, net.const([1, 1, *factors]), **options)
            for factors in ((2, 2), (0.5, 0.5), (1.7, 0.6))
        ]
        channels = x.type.shape[1]
        made.append(net.op("resize", x, roi, None, net.ints(2, int(str(channels)), 11, 4), **options))
        return tuple(made)

    return build


def _nearest(rounding: str) -> Build:
    def build(net: Network) -> tuple[Value, ...]:
        x = net.input(1, 3, 5, 7)
        options = {"nearest_mode": rounding, "coordinate_transformation_mode": "asymmetric"}
        return tuple(
            net.op("resize", value, None, net.const([1, 1, 2.5, 0.75]), **options) for value in (x, net.blocked(x, 18))
        )

    return build


def _cubic(net: Network) -> Value:
    return net.op("resize", net.input(1, 3, 5, 7), None, net.const([1, 1, 2, 0.6]), mode="cubic", antialias=1)


def _resize_other_axes(net: Network) -> Value:
    return net.op("resize", net.input(2, 3, 5, 7), None, net.const([2, 1.5, 1, 2]), mode="linear")


def _resize_1d_and_3d(net: Network) -> tuple[Value, ...]:
    line, volume = net.input(2, 3, 9, name="line"), net.input(1, 3, 3, 4, 5, name="volume")
    return (
        net.op("resize", line, None, net.const([1, 1, 2]), mode="linear"),
        net.op("resize", volume, None, net.const([1, 1, 2, 2, 2]), mode="linear"),
        net.op("resize", net.blocked(volume, 18), None, net.const(np.array([1, 1, 2, 1, 2])), mode="nearest"),
    )


def cases() -> Iterator[Case]:
    """All cases of this family."""
    for surroundings in ("plain", "blocked"):
        for name, options in POOLS.items():
            yield Case(f"pool-{name}-{surroundings}", _pools(surroundings, **options))
        for mode in ("nearest", "linear"):
            for coordinates in COORDINATE_MODES:
                yield Case(f"resize-{mode}-{coordinates}-{surroundings}", _resize(mode, coordinates, surroundings))
    yield Case("pool-1d", _pool_rank((2, 5, 13)))
    yield Case("pool-3d", _pool_rank((1, 5, 4, 5, 6)))
    yield Case("pool-indices", _indices(kernel_shape=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)))
    yield Case("pool-indices-columns", _indices(kernel_shape=(2, 2), storage_order=1))
    yield Case("pool-other", _other_pools)
    yield Case("pool-global", _globals((2, 5, 7, 9)))
    yield Case("pool-global-3d", _globals((1, 5, 3, 4, 5)))
    yield Case("pool-global-one-pixel", _globals((2, 5, 1, 1)))
    for rounding in NEAREST_MODES:
        yield Case(f"resize-{rounding}", _nearest(rounding))
    yield Case("resize-cubic", _cubic)
    yield Case("resize-other-axes", _resize_other_axes)
    yield Case("resize-ranks", _resize_1d_and_3d)
