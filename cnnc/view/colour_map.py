"""Numbers as colours: one map for values on both sides of zero, one for values from zero up.

Both are computed from their published formulae. The diverging map is Moreland's (Diverging Color Maps for Scientific
Visualization, 2009) from blue over white to red: zero is white, and equal steps look equal. The sequential one is
Green's cubehelix (A colour scheme for the display of astronomical intensity images, 2011): its lightness grows with the
value, so that it keeps its order in grey and for readers who do not see some colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

DIVERGING, SEQUENTIAL = "diverging", "sequential"

STEPS = 255
"""Colours of a map; an odd number, so that zero has one of its own."""

NOT_FINITE = (255, 0, 255)
"""Of NaN and infinities, which no map has a colour for."""

_BLUE, _RED = (59, 76, 192), (180, 4, 38)
_WHITE_MAGNITUDE = 88.0
_WHITE_POINT = np.array([0.95047, 1.0, 1.08883])
_RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_LAB = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
_LAB_OFFSET = np.array([-16.0, 0.0, 0.0])


@dataclass(frozen=True, slots=True)
class Scale:
    """Which colours numbers get: those of a map, from ``low`` to ``high``."""

    low: float
    high: float
    colours: str


def scale_of(values: NDArray[Any], *, around_zero: bool = False) -> Scale:
    """The scale of what is finite in ``values``: around 0 where some of it is negative or told so, else from 0 up."""
    numbers = np.asarray(values, np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low >= 0 and not around_zero:
        return Scale(0.0, high, SEQUENTIAL)
    bound = max(abs(low), abs(high))
    return Scale(-bound, bound, DIVERGING)


@cache
def colours(name: str) -> Pixels:
    """The colours of a map [STEPS, 3], of the lowest value first."""
    table = _diverging() if name == DIVERGING else _cubehelix()
    made = np.rint(255 * np.clip(table, 0, 1)).astype(np.uint8)
    made.flags.writeable = False
    return made


def paint(values: NDArray[Any], scale: Scale) -> Pixels:
    """Colours of ``values`` [...] as [..., 3]; what lies outside of the scale gets the colour of its border."""
    numbers = np.asarray(values, np.float64)
    finite = np.isfinite(numbers)
    span = scale.high - scale.low
    share = np.where(finite, numbers - scale.low, 0.0) / span if span > 0 else np.full(numbers.shape, 0.5)
    painted = colours(scale.colours)[np.rint(np.clip(share, 0, 1) * (STEPS - 1)).astype(np.intp)]
    painted[~finite] = NOT_FINITE
    return painted


def _cubehelix(start: float = 0.5, rotations: float = -1.5, hue: float = 1.0) -> Floats:
    """Equation 2 of the paper, with its default parameters and no gamma."""
    light = np.linspace(0, 1, STEPS)
    angle = 2 * np.pi * (start / 3 + 1 + rotations * light)
    amplitude = hue * light * (1 - light) / 2
    directions = np.array([[-0.14861, 1.78277], [-0.29227, -0.90649], [1.97294, 0.0]])
    helix = directions @ np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray((light + amplitude * helix).T)


def _diverging() -> Floats:
    """From blue to white and from white to red, each along a straight line in Msh, the polar form of CIELAB."""
    ends = [_msh_of(np.array(colour) / 255) for colour in (_BLUE, _RED)]
    shares = np.linspace(0, 1, STEPS // 2 + 1)[:, None]
    halves = [end + shares * (np.array([_WHITE_MAGNITUDE, 0.0, _white_hue(end)]) - end) for end in ends]
    return _rgb_of(np.concatenate([halves[0], halves[1][-2::-1]]))


def _white_hue(end: Floats) -> float:
    """The hue that white takes on the way from ``end``: turned away, so that steps along the line look equal."""
    magnitude, saturation, hue = end
    spin = saturation * np.sqrt(_WHITE_MAGNITUDE**2 - magnitude**2) / (magnitude * np.sin(saturation))
    return float(hue + spin if hue > -np.pi / 3 else hue - spin)


def _msh_of(rgb: Floats) -> Floats:
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    ratio = _RGB_TO_XYZ @ linear / _WHITE_POINT
    curve = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    lightness, a, b = _LAB @ curve + _LAB_OFFSET
    magnitude = np.sqrt(lightness**2 + a**2 + b**2)
    return np.array([magnitude, np.arccos(lightness / magnitude), np.arctan2(b, a)])


def _rgb_of(msh: Floats) -> Floats:
    """sRGB of colours [n, 3]."""
    magnitude, saturation, hue = msh.T
    radius = magnitude * np.sin(saturation)
    lab = np.stack([magnitude * np.cos(saturation), radius * np.cos(hue), radius * np.sin(hue)])
    curve = np.linalg.solve(_LAB, lab - _LAB_OFFSET[:, None])
    ratio = np.where(curve > 0.206893, curve**3, (curve - 16 / 116) / 7.787)
    linear = np.linalg.solve(_RGB_TO_XYZ, ratio * _WHITE_POINT[:, None]).clip(0, 1)
    return np.asarray(np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear).T)
