"""Initial values of parameters: functions of a generator and a shape.

Weights are [OC, IC/groups, kernel...] for convolutions and [out, in] for linear layers, so a weight's *fan-in*, the
number of products that one output sums up, is the product of all axes but the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from cnnc.ir import Array

Initialiser: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], Array]
"""Values of a shape as float32, from a seeded generator."""


def fan_in(shape: tuple[int, ...]) -> int:
    """Products that one output of a weight [OC, IC/groups, kernel...] sums up."""
    return max(1, math.prod(shape[1:]))


def fan_out(shape: tuple[int, ...]) -> int:
    """Products that one input of a weight [OC, IC/groups, kernel...] takes part in, without groups."""
    return max(1, shape[0] * math.prod(shape[2:])) if shape else 1


def zeros(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All 0."""
    return np.zeros(shape, np.float32)


def ones(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All 1."""
    return np.ones(shape, np.float32)


def constant(value: float) -> Initialiser:
    """All ``value``."""
    return lambda generator, shape: np.full(shape, value, np.float32)


def normal(std: float) -> Initialiser:
    """Normally distributed around 0 with standard deviation ``std``."""
    return lambda generator, shape: generator.standard_normal(shape, np.float32) * np.float32(std)


def uniform(bound: float) -> Initialiser:
    """Evenly distributed in -bound..bound."""
    return lambda generator, shape: (generator.random(shape, np.float32) * 2 - 1) * np.float32(bound)


def kaiming_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance 2 / fan-in, which keeps the variance through ReLU.

    Source: He et al., Delving Deep into Rectifiers, ICCV 2015.
    """
    return normal(math.sqrt(2 / fan_in(shape)))(generator, shape)


def kaiming_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform with variance 2 / fan-in: bound sqrt(6 / fan-in).

    Source: He et al., Delving Deep into Rectifiers, ICCV 2015.
    """
    return uniform(math.sqrt(6 / fan_in(shape)))(generator, shape)


def xavier_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance 2 / (fan-in + fan-out).

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    """
    return normal(math.sqrt(2 / (fan_in(shape) + fan_out(shape))))(generator, shape)


def xavier_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform with variance 2 / (fan-in + fan-out): bound sqrt(6 / (fan-in + fan-out)).

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    """
    return uniform(math.sqrt(6 / (fan_in(shape) + fan_out(shape))))(generator, shape)
