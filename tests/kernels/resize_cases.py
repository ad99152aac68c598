"""Resizes that CPU and GPU kernels are tested with: one to three spatial axes, ratios and sizes."""

from __future__ import annotations

import numpy as np

from cnnc.runtime import host


def resize_reference(x, out, scales, **attributes):
    """The spatial axes of x resized to ``out``, by these ratios, or None for those of the sizes."""
    spatial = list(range(2, x.ndim))
    if None in scales:
        return host.function("resize")(x, None, None, np.array(out), axes=spatial, **attributes)
    return host.function("resize")(x, None, np.array(scales, np.float32), None, axes=spatial, **attributes)


CASES = {
    "up 2": ((2, 3, 5, 7), (10, 14), (2.0, 2.0)),
    "to sizes": ((1, 19, 5, 7), (8, 3), (None, None)),
    "down": ((1, 2, 12, 9), (6, 3), (0.5, float(np.float32(1 / 3)))),
    "one axis": ((1, 3, 6, 5), (6, 13), (None, None)),
    "1-D": ((2, 3, 11), (25,), (None,)),
    "3-D": ((1, 17, 3, 4, 5), (5, 4, 9), (None, None, None)),
    "to one": ((1, 2, 4, 4), (1, 1), (None, None)),
    "fractional": ((1, 2, 5, 6), (7, 9), (1.5, float(np.float32(1.6)))),
}
