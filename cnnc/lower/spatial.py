"""Shapes as kernels see them: batch, channels and three spatial axes, with window parameters to match."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, evaluate, symbols
from cnnc.ir import Array
from cnnc.ops.activation import Activation
from cnnc.types import TensorType


def volume(values: Sequence[Dim], fill: Dim) -> tuple[Dim, Dim, Dim]:
    """Depth, height, width from one to three spatial values; missing leading ones are ``fill``."""
    full = (*[fill] * (3 - len(values)), *values)
    return full[0], full[1], full[2]


def known_volume(values: Sequence[Dim], fill: int) -> tuple[int, int, int]:
    """``volume`` of values that are all numbers."""
    first, second, third = (int(size) for size in volume(values, fill) if isinstance(size, int))
    return first, second, third


def sizes_of(names: str, values: Sequence[Dim]) -> dict[str, Dim]:
    """Named size slots: ``sizes_of("D H W", shape)``."""
    return dict(zip(names.split(), values, strict=True))


def float_bits(value: float) -> int:
    """A float32 as the integer that a 64-bit argument slot holds."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""The defaults of ONNX Selu, which is what a fused selu means."""


def activation_bits(activation: Activation) -> dict[str, Dim]:
    """Argument slots of an activation's parameters."""
    if activation.kind == "selu":
        return {"alpha": float_bits(SELU_ALPHA), "beta": float_bits(SELU_GAMMA)}
    return {"alpha": float_bits(activation.alpha), "beta": float_bits(activation.beta)}


TYPICAL_SIZE = 64
"""What an unknown height or width is taken to be when tiles are chosen; any size still runs."""


def typical(dim: Dim, unknown: int = TYPICAL_SIZE) -> int:
    """A number for ``dim`` to choose tiles by: each unknown size counts as ``unknown``."""
    return max(1, evaluate(dim, dict.fromkeys(symbols(dim), unknown)))


def channel_lanes(values: Array | None, output: TensorType) -> Array:
    """One float32 a lane of a blocked tensor from one a channel (or one for all); 0 for absent values and padding."""
    channels = output.shape[1]
    assert isinstance(channels, int)
    packed = np.zeros(output.layout.physical_channels(channels), np.float32)
    if values is not None:
        packed[output.layout.lanes(channels)] = values.reshape(-1)
    return packed
