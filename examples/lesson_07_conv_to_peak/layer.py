"""The layer that all steps compute, its operands in the layouts that they need, and what its result must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnc.ir import Array
from cnnc.runtime.host.conv import conv

WINDOW = 3


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution with stride 1 and padding 1: x [IC, H, W], weights [OC, IC, 3, 3] -> y [OC, H, W].

    ``inputs`` and ``outputs`` are IC and OC; the map is square, ``size`` pixels high and wide.
    """

    inputs: int
    outputs: int
    size: int

    @property
    def flops(self) -> int:
        """Two operations for each product that counts: those with the zeros of the padding do not."""
        taps = WINDOW * self.size - 2  # that lie in the map, of all outputs of a row
        return 2 * self.inputs * self.outputs * taps**2

    @property
    def least_bytes(self) -> int:
        """Input, weights and output, once each, float32."""
        return 4 * (self.inputs * self.outputs * WINDOW**2 + (self.inputs + self.outputs) * self.size**2)

    def __str__(self) -> str:
        return f"3x3, {self.inputs} to {self.outputs} channels, {self.size}x{self.size}"


@dataclass(frozen=True)
class Operands:
    """Random numbers for a layer: x [IC, H, W] and w [OC, IC, 3, 3], float32."""

    x: Array
    w: Array

    @classmethod
    def of(cls, layer: Layer) -> Operands:
        rng = np.random.default_rng(7)
        x = rng.standard_normal((layer.inputs, layer.size, layer.size), np.float32)
        return cls(x, rng.standard_normal((layer.outputs, layer.inputs, WINDOW, WINDOW), np.float32))

    def expected(self) -> Array:
        """y [OC, H, W] in float64, by cnnc's NumPy meaning of a convolution."""
        y: Array = conv(self.x[None].astype(np.float64), self.w.astype(np.float64), pads=(1, 1, 1, 1))
        return y[0]


@dataclass(frozen=True)
class Built:
    """A step, ready to run: ``run()`` computes the layer, ``result()`` gives y [OC, H, W] as NumPy has it.

    Attributes:
        jitted: the Numba function that holds the inner loop.
        threads: that work on it.
    """

    run: Callable[[], object]
    result: Callable[[], Array]
    jitted: Any
    threads: int = 1
    kept: tuple[Array, ...] = field(default=())


def with_border(x: Array) -> Array:
    """[H, W, C] with a border of zeros one pixel wide, [H + 2, W + 2, C]."""
    return np.pad(x, ((1, 1), (1, 1), (0, 0)))


def channels_last(x: Array) -> Array:
    """[C, H, W] as [H, W, C]."""
    return np.ascontiguousarray(x.transpose(1, 2, 0))


def blocked(x: Array, lanes: int) -> Array:
    """[C, H, W] as [C / L, H, W, L], the layout of cnnc's tensors: a pixel of a block is one vector."""
    c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(c // lanes, lanes, h, w).transpose(0, 2, 3, 1))


def plain(y: Array) -> Array:
    """The inverse of ``blocked``."""
    blocks, h, w, lanes = y.shape
    return y.transpose(0, 3, 1, 2).reshape(blocks * lanes, h, w)
