"""The prologue of a convolution's input: a scale and a shift a channel with an activation, or a gate.

Parameters, buffers and sizes are those of ``cnnc.runtime.cpu.prologue``. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.cuda import types

from cnnc.runtime.cpu.prologue import GATED
from cnnc.runtime.cuda.activation import scalar_activation
from cnnc.runtime.cuda.integers import float_of_bits
from cnnc.runtime.cuda.intrinsics import BOOL, INT, QUAD, inlined
from cnnc.runtime.cuda.memory_access import first_lanes, load_quad_if
from cnnc.runtime.kernel import Params


def input_prologue(params: Params) -> Any:
    """``transformed(quad, scale, shift, inside, (alpha, beta))`` of four channels of a pixel.

    ``scale`` and ``shift`` are the addresses of the first channel's, alpha and beta float32 bits. Where ``inside`` is
    false nothing is read, and the result is 0: what hangs over the border stays 0.
    """
    is_gated = params["prologue"] == GATED
    activation = scalar_activation("none" if is_gated else str(params["prologue"]))

    def transform(quad: Any, scale: int, shift: int, inside: bool, numbers: Any) -> Any:
        s = load_quad_if(scale, inside)
        v0, v1, v2, v3 = quad[0] * s[0], quad[1] * s[1], quad[2] * s[2], quad[3] * s[3]
        if not is_gated:
            alpha, beta = float_of_bits(numbers[0]), float_of_bits(numbers[1])
            t = load_quad_if(shift, inside)
            v0, v1 = activation(v0 + t[0], alpha, beta), activation(v1 + t[1], alpha, beta)
            v2, v3 = activation(v2 + t[2], alpha, beta), activation(v3 + t[3], alpha, beta)
        return first_lanes((v0, v1, v2, v3), 4 if inside else 0)

    return inlined(QUAD, [QUAD, INT, INT, BOOL, types.UniTuple(INT, 2)], transform)
