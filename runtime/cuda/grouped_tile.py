"""The register tile of convolutions of small groups: outputs below each other, for half a block of channels.

Where all four channels read the same inputs, four at a time, sixteen weights multiply a quad of each row's inputs.
Where each channel has inputs of its own, in any lanes, four weights multiply four of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.frozen_dataclass import dataclass

FACTS = ("x0", "x1", "x2", "x3", "x_step", "row", "row_step", "height", "is_inside", "weights")
"""What a tile is told: addresses of the first row's inputs (one a channel; of quads only the first counts) and bytes to
the next row's; its row in the map, rows to the next, and the map's height; whether the column lies in the map; address
of the weights."""


@dataclass(frozen=True, slots=True)
class GroupedTile:
    """``rows`` outputs of a thread; ``quads``: its channels read the same inputs, quads of them."""

    rows: int
    quads: bool


def grouped_tile(tile: GroupedTile) -> tuple[Callable[[], Any], Callable[[Any, Any], Any]]:
    """(zero, add) for Numba CUDA code.

    ``zero()`` is a tile of zeros, a tuple of 4 x rows float32, channel by channel. ``add(tile, facts)`` adds the
    products of a tap with a quad of inputs, or with an input of each channel; ``facts`` are ints, as ``FACTS`` names
    them. Inputs outside the map count as 0.
    """
    from llvmlite import ir
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I1, I64, INT, device_function
    from cnnc.runtime.cuda.memory_access import emit_load_if, emit_load_quad, emit_load_quad_if

    kind = types.UniTuple(FLOAT, 4 * tile.rows)

    def zero(builder: Any) -> Any:
        return ir.Constant(ir.ArrayType(F32, 4 * tile.rows), [0.0] * (4 * tile.rows))

    def add(builder: Any, sums: Any, facts: Any) -> Any:
        registers = cgutils.unpack_tuple(builder, sums)
        told = dict(zip(FACTS, cgutils.unpack_tuple(builder, facts), strict=True))
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32")
        inputs_of_channel = 4 if tile.quads else 1
        weights = [
            emit_load_quad(builder, builder.add(told["weights"], ir.Constant(I64, 16 * number)))
            for number in range(inputs_of_channel)
        ]
        is_inside = builder.trunc(told["is_inside"], I1)
        for row in range(tile.rows):
            number = ir.Constant(I64, row)
            place = builder.add(told["row"], builder.mul(told["row_step"], number))
            exists = builder.and_(is_inside, builder.icmp_unsigned("<", place, told["height"]))
            ahead = builder.mul(told["x_step"], number)
            places = [builder.add(told[f"x{channel}"], ahead) for channel in range(4)]
            if tile.quads:
                quad = emit_load_quad_if(builder, places[0], exists)
                inputs = [[builder.extract_value(quad, index) for index in range(4)]] * 4
            else:
                inputs = [[emit_load_if(builder, at, exists)] for at in places]
            for channel in range(4):
                at = channel * tile.rows + row
                for value, quad in zip(inputs[channel], weights, strict=True):
                    registers[at] = builder.call(fma, [value, builder.extract_value(quad, channel), registers[at]])
        return cgutils.pack_array(builder, registers)

    return device_function(kind, [], zero), device_function(kind, [kind, types.UniTuple(INT, len(FACTS))], add)
