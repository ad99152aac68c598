"""Convolutions and transposed convolutions: windows, groups, channel counts, epilogues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnc.ir import Value
from cnnc.ops.activation import KINDS
from tests.numeric.case import Build, Case
from tests.numeric.network import Network

SAME = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}
Shape = tuple[int | str, ...]

WINDOWS: dict[str, tuple[Shape, int, dict[str, Any]]] = {
    "1d": ((2, 6, 21), 10, {"kernel": (5,), "strides": (2,), "pads": (1, 2)}),
    "1d-dilated": ((1, 6, 21), 10, {"kernel": (3,), "dilations": (4,)}),
    "3d": ((2, 5, 5, 6, 7), 9, {"kernel": (3, 3, 3), "pads": (1, 0, 1, 0, 1, 1), "strides": (1, 2, 1)}),
    "3d-grouped": ((1, 8, 4, 5, 6), 8, {"kernel": (2, 1, 3), "group": 2}),
    "valid": ((2, 6, 9, 11), 10, {"kernel": (3, 3)}),
    "stride2": ((2, 6, 9, 11), 10, {**SAME, "strides": (2, 2)}),
    "stride32": ((2, 6, 9, 11), 10, {**SAME, "strides": (3, 2)}),
    "dilated": ((2, 6, 11, 13), 10, {"kernel": (3, 3), "dilations": (2, 3), "pads": (2, 3, 2, 3)}),
    "asymmetric": ((2, 6, 9, 11), 10, {"kernel": (3, 4), "pads": (0, 2, 1, 3)}),
    "same-upper": ((2, 6, 9, 12), 10, {"kernel": (4, 3), "strides": (2, 2), "auto_pad": "SAME_UPPER"}),
    "same-lower": ((2, 6, 9, 12), 10, {"kernel": (4, 3), "strides": (2, 2), "auto_pad": "SAME_LOWER"}),
    "large-kernel": ((1, 6, 3, 2), 10, {"kernel": (7, 5), "pads": (3, 3, 3, 3)}),
    "pads-beyond-map": ((1, 6, 2, 2), 10, {"kernel": (3, 3), "pads": (4, 4, 4, 4)}),
    "7x7": ((1, 3, 15, 17), 18, {"kernel": (7, 7), "strides": (2, 2), "pads": (3, 3, 3, 3)}),
    "pointwise": ((2, 6, 9, 11), 10, {"kernel": (1, 1)}),
    "pointwise-strided": ((2, 6, 9, 11), 10, {"kernel": (1, 1), "strides": (2, 3)}),
    "pointwise-padded": ((2, 6, 4, 5), 10, {"kernel": (1, 1), "pads": (1, 0, 0, 2)}),
    "one-pixel": ((3, 40, 1, 1), 33, {"kernel": (1, 1)}),
    "row": ((1, 6, 1, 37), 10, {"kernel": (1, 3), "pads": (0, 1, 0, 1)}),
    "column": ((1, 6, 37, 1), 10, {"kernel": (3, 1), "pads": (1, 0, 1, 0)}),
}
GROUPS = {
    "depthwise": (24, 24, 24),
    "depthwise-17": (17, 17, 17),
    "depthwise-double": (8, 16, 8),
    "halves": (16, 24, 2),
    "four-a-group": (32, 32, 8),
    "odd": (21, 14, 7),
    "wide": (64, 64, 2),
    "one-in-three-out": (6, 18, 6),
}
"""name -> channels, filters, groups"""
CHANNELS = (1, 3, 8, 16, 17, 24, 33)


def _conv(shape: Shape, filters: int, options: dict[str, Any]) -> Build:
    def build(net: Network) -> Value:
        return net.conv(net.input(*shape), filters, **options)

    return build


def _behind_blocked(shape: Shape, channels: int, filters: int, options: dict[str, Any]) -> Build:
    def build(net: Network) -> Value:
        return net.conv(net.blocked(net.input(*shape), channels), filters, **options)

    return build


def _residual(activation: str) -> Build:
    def build(net: Network) -> Value:
        x = net.blocked(net.input(2, 3, 7, 9), 24)
        alpha, beta = {"clip": (-0.25, 1.5), "hard_sigmoid": (0.2, 0.5)}.get(activation, (0.3, 0.0))
        return net.conv(x, 24, **SAME, residual=x, activation=activation, alpha=alpha, beta=beta)

    return build


def _activations(net: Network) -> tuple[Value, ...]:
    x = net.input(2, 3, 5, 7)
    made = []
    for kind in KINDS:
        alpha, beta = {"clip": (-0.25, 1.5), "hard_sigmoid": (0.2, 0.5)}.get(kind, (0.3, 0.0))
        made.append(net.conv(x, 18, activation=kind, alpha=alpha, beta=beta))
    return tuple(made)


def _channel_counts(**options: Any) -> Build:
    def build(net: Network) -> Value:
        x = net.input(2, CHANNELS[0], 6, 7)
        for filters in (*CHANNELS[1:], *reversed(CHANNELS)):
            x = net.conv(x, filters, **options)
        return x

    return build


def _broadcast_residual(net: Network) -> Value:
    x = net.input(2, 8, 5, 6)
    return net.op("relu", net.op("add", net.conv(x, 20, **SAME), net.conv(net.op("global_average_pool", x), 20)))


def _computed_weights(net: Network) -> Value:
    return net.op("conv", net.input(1, 4, 6, 6), net.input(8, 4, 3, 3, name="w"))


TRANSPOSED: dict[str, tuple[Shape, int, dict[str, Any]]] = {
    "2x2": ((2, 6, 5, 7), 10, {"kernel": (2, 2), "strides": (2, 2)}),
    "4x4": ((1, 18, 5, 7), 17, {"kernel": (4, 4), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "3x3-output-padding": (
        (1, 6, 5, 7),
        10,
        {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "output_padding": (1, 1)},
    ),
    "asymmetric": ((1, 6, 5, 7), 10, {"kernel": (3, 4), "strides": (2, 3), "pads": (0, 1, 2, 0)}),
    "dilated": ((1, 6, 5, 7), 10, {"kernel": (3, 3), "dilations": (2, 2)}),
    "grouped": ((1, 8, 5, 7), 8, {"kernel": (3, 3), "group": 4}),
    "depthwise": ((1, 24, 5, 7), 24, {"kernel": (4, 4), "strides": (2, 2), "group": 24}),
    "gaps": ((1, 6, 4, 5), 10, {"kernel": (2, 2), "strides": (3, 3)}),
    "same-upper": ((1, 6, 5, 7), 10, {"kernel": (3, 3), "strides": (2, 2), "auto_pad": "SAME_UPPER"}),
    "output-shape": ((1, 6, 5, 7), 10, {"kernel": (3, 3), "strides": (2, 2), "output_shape": (10, 14)}),
    "1d": ((2, 6, 9), 10, {"kernel": (4,), "strides": (2,), "pads": (1, 1)}),
    "3d": ((1, 6, 3, 4, 5), 10, {"kernel": (2, 3, 2), "strides": (2, 1, 2)}),
}


def _transposed(shape: Shape, filters: int, options: dict[str, Any]) -> Build:
    def build(net: Network) -> Value:
        return net.conv_transpose(net.input(*shape), filters, **options)

    return build


def cases() -> Iterator[Case]:
    """All cases of this family."""
    for name, (shape, filters, options) in WINDOWS.items():
        yield Case(f"conv-{name}", _conv(shape, filters, options))
    for name, (channels, filters, group) in GROUPS.items():
        for window, options in (("3x3", SAME), ("strided", {**SAME, "strides": (2, 2)}), ("1x1", {"kernel": (1, 1)})):
            build = _behind_blocked((2, 5, 7, 9), channels, filters, {**options, "group": group})
            yield Case(f"conv-{name}-{window}", build)
    for kind in ("none", "relu", "clip", "prelu", "silu"):
        yield Case(f"conv-residual-{kind}", _residual(kind))
    yield Case("conv-activations", _activations)
    yield Case("conv-channels-1x1", _channel_counts())
    yield Case("conv-channels-3x3", _channel_counts(**SAME))
    yield Case("conv-no-bias", _conv((1, 6, 9, 11), 10, {**SAME, "bias": False}))
    yield Case("conv-broadcast-residual", _broadcast_residual)
    yield Case("conv-computed-weights", _computed_weights)
    for name, (shape, filters, options) in TRANSPOSED.items():
        yield Case(f"conv-transpose-{name}", _transposed(shape, filters, options))
