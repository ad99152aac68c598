"""What convolutions do to their sums: bias, residual and activation, four channels of a pixel at a time.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.cuda import types

from cnnc.runtime.cuda.activation import scalar_activation
from cnnc.runtime.cuda.integers import divide, float_of_bits
from cnnc.runtime.cuda.intrinsics import INT, QUAD, inlined
from cnnc.runtime.cuda.memory_access import load_quad, store_quad
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Params

FACTS = 12
"""Numbers that ``finish`` takes: addresses of y, bias, slopes and residual; the group's first block in y, and its
blocks; pixels of all images and of one; elements from one image to the next in y and residual; alpha and beta."""


def quad_epilogue(params: Params) -> Any:
    """``finish(sums, channel, pixel, facts)`` writes a quad of neighbouring channels of a pixel, if it exists.

    ``channel`` counts from the group's first, ``pixel`` over all images. ``params``: activation, residual.
    """
    activation = scalar_activation(str(params["activation"]))
    has_residual, has_slopes = bool(params["residual"]), params["activation"] == "prelu"

    def finish(sums: Any, channel: int, pixel: int, facts: Any) -> None:
        y, bias, slopes, residual, group_block, y_blocks, last_pixel, outputs = facts[:8]
        y_image, residual_image, alpha_bits, beta_bits = facts[8:]
        if pixel >= last_pixel or channel >= y_blocks * LANES:
            return
        image, place = divide(pixel, outputs)
        lane = channel % LANES
        offset = ((group_block + channel // LANES) * outputs + place) * LANES + lane
        at = 4 * (group_block * LANES + channel)
        alpha, beta = float_of_bits(alpha_bits), float_of_bits(beta_bits)
        b = load_quad(bias + at)
        s = load_quad(slopes + at) if has_slopes else (alpha, alpha, alpha, alpha)
        v0, v1, v2, v3 = sums[0] + b[0], sums[1] + b[1], sums[2] + b[2], sums[3] + b[3]
        if has_residual:
            r = load_quad(residual + 4 * (image * residual_image + offset))
            v0, v1, v2, v3 = v0 + r[0], v1 + r[1], v2 + r[2], v3 + r[3]
        v0, v1 = activation(v0, s[0], beta), activation(v1, s[1], beta)
        v2, v3 = activation(v2, s[2], beta), activation(v3, s[3], beta)
        store_quad(y + 4 * (image * y_image + offset), (v0, v1, v2, v3))

    return inlined(types.void, [QUAD, INT, INT, types.UniTuple(INT, FACTS)], finish)
