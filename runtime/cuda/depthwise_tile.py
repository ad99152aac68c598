"""The register tile of depthwise convolution: outputs below each other, for half a block of channels.

Threads that follow each other take halves, then columns, so that whatever a warp reads lies together. What outputs
share of a column of inputs is loaded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.frozen_dataclass import dataclass

FACTS = ("x", "x_step", "row", "row_step", "height", "is_inside", "weights", "weights_step")
"""What a tile is told: address of its first input of a column and bytes to the next; its row in the map, rows to the
next, and the map's height; whether the column lies in the map; address of the first weights of a column of the window,
and bytes to the next."""


@dataclass(frozen=True, slots=True)
class DepthwiseTile:
    """``rows`` outputs of a thread, whose windows have ``window`` rows of inputs and begin ``stride`` rows apart."""

    rows: int
    window: int
    stride: int


def depthwise_tile(tile: DepthwiseTile) -> tuple[Callable[[], Any], Callable[[Any, Any], Any]]:
    """(zero, add) for Numba CUDA code.

    ``zero()`` is a tile of zeros, a tuple of 4 x rows float32, channel by channel. ``add(tile, facts)`` adds the
    products of a column of the window; ``facts`` are ints, as ``FACTS`` names them. Inputs outside the map count as 0.
    """
    from llvmlite import ir
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I1, I64, INT, device_function
    from cnnc.runtime.cuda.memory_access import emit_load_quad, emit_load_quad_if

    kind = types.UniTuple(FLOAT, 4 * tile.rows)

    def zero(builder: Any) -> Any:
        return ir.Constant(ir.ArrayType(F32, 4 * tile.rows), [0.0] * (4 * tile.rows))

    def add(builder: Any, sums: Any, facts: Any) -> Any:
        registers = cgutils.unpack_tuple(builder, sums)
        told = dict(zip(FACTS, cgutils.unpack_tuple(builder, facts), strict=True))
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32")
        weights = []
        for row in range(tile.window):
            at = builder.add(told["weights"], builder.mul(told["weights_step"], ir.Constant(I64, row)))
            weights.append(emit_load_quad(builder, at))
        is_inside = builder.trunc(told["is_inside"], I1)
        at = told["x"]
        for row in range((tile.rows - 1) * tile.stride + tile.window):
            if row:
                at = builder.add(at, told["x_step"])
            place = builder.add(told["row"], builder.mul(told["row_step"], ir.Constant(I64, row)))
            exists = builder.and_(is_inside, builder.icmp_unsigned("<", place, told["height"]))
            inputs = emit_load_quad_if(builder, at, exists)
            for output in range(tile.rows):
                tap = row - output * tile.stride
                if not 0 <= tap < tile.window:
                    continue
                for lane in range(4):
                    number = lane * tile.rows + output
                    factors = [builder.extract_value(quad, lane) for quad in (inputs, weights[tap])]
                    registers[number] = builder.call(fma, [*factors, registers[number]])
        return cgutils.pack_array(builder, registers)

    return device_function(kind, [], zero), device_function(kind, [kind, types.UniTuple(INT, len(FACTS))], add)
