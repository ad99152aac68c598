"""Pools that CPU and GPU kernels are tested with: 1-D to 3-D windows, ceil_mode, dilation."""

from __future__ import annotations

import numpy as np

from cnnc.runtime.cpu import pool_window
from cnnc.runtime.host.window import resolve_window

CASES = {
    "2x2": {"x": (2, 5, 6, 8), "kernel_shape": (2, 2), "strides": (2, 2)},
    "3x3 stride 2": {"x": (1, 19, 13, 14), "kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    "same": {"x": (1, 3, 7, 5), "kernel_shape": (5, 5), "pads": (2, 2, 2, 2)},
    "asymmetric": {"x": (1, 3, 9, 4), "kernel_shape": (3, 2), "strides": (1, 3), "pads": (0, 1, 2, 0)},
    "dilated": {"x": (1, 4, 11, 12), "kernel_shape": (3, 2), "dilations": (3, 4), "pads": (2, 1, 4, 3)},
    "ceil": {"x": (1, 2, 10, 11), "kernel_shape": (3, 3), "strides": (3, 2), "ceil_mode": 1, "pads": (1, 0, 0, 1)},
    "ceil padded": {"x": (1, 2, 4, 4), "kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1, "pads": (1, 1, 1, 1)},
    "1-D": {"x": (2, 3, 41), "kernel_shape": (4,), "strides": (3,), "pads": (1, 2)},
    "3-D": {"x": (1, 17, 5, 6, 7), "kernel_shape": (2, 3, 2), "strides": (2, 1, 2), "pads": (1, 1, 0, 0, 1, 1)},
    "one": {"x": (1, 1, 1, 1), "kernel_shape": (1, 1)},
}


def pool_case(name):
    """(x, attributes of the op, window)."""
    attributes = dict(CASES[name])
    shape = attributes.pop("x")
    x = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    window = resolve_window(
        shape[2:],
        attributes["kernel_shape"],
        attributes.get("strides", ()),
        attributes.get("dilations", ()),
        attributes.get("pads", ()),
        "NOTSET",
        bool(attributes.get("ceil_mode", 0)),
    )
    return x, attributes, window


def pool_sizes(planes, x, window, include_pad=False):
    """Size slots of ``pool_window``."""
    return pool_window.arguments(
        planes,
        x.shape[2:],
        window.output,
        window.kernel,
        window.strides,
        window.dilations,
        window.begins,
        window.ends,
        include_pad,
    )
