"""Copies columns of a first layer's matrix from a plain image to a panel. Imported only while a kernel is compiled.

A row of the matrix is a channel and a tap, (channel, z, y, x) of a table; a column is an output pixel, whose window
begins at a corner. What hangs over the border is 0.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.intrinsics import FLOAT, I32, I64, INT, assembly, device_function
from cnnc.runtime.cuda.memory_access import emit_load_if

_FOUR = ir.LiteralStructType([I32] * 4)
_INT3 = types.UniTuple(types.int32, 3)


def column_copy(rows: int, pitch: int, axes: int) -> tuple[Any, Any]:
    """(load, store) of ``rows`` rows of a column.

    ``load(table, image, corner, sizes, volume)``: of the image at an address, with (z, y, x) of the corner and (D, H,
    W) as numbers of 32 bits, and D * H * W. ``store(panel, column)``: rows are ``pitch`` bytes apart. ``axes``: 2 if
    there is only one plane.
    """
    kind = types.UniTuple(FLOAT, rows)

    def load(builder: Any, table: Any, image: Any, corner: Any, sizes: Any, volume: Any) -> Any:
        first, bounds = cgutils.unpack_tuple(builder, corner), cgutils.unpack_tuple(builder, sizes)
        pixels, found = builder.trunc(volume, I32), []
        for row in range(rows):
            text = f"ld.global.nc.v4.s32 {{$0,$1,$2,$3}}, [$4+{16 * row}];"
            entry = assembly(builder, _FOUR, text, "=r,=r,=r,=r,l", [table])
            channel, *steps = (builder.extract_value(entry, index) for index in range(4))
            z, y, x = (builder.add(start, step) for start, step in zip(first, steps, strict=True))
            inside = builder.and_(builder.icmp_unsigned("<", x, bounds[2]), builder.icmp_unsigned("<", y, bounds[1]))
            place = builder.add(builder.mul(y, bounds[2]), x)
            if axes == 3:
                inside = builder.and_(inside, builder.icmp_unsigned("<", z, bounds[0]))
                place = builder.add(builder.mul(z, builder.mul(bounds[1], bounds[2])), place)
            element = builder.sext(builder.add(builder.mul(channel, pixels), place), I64)
            address = builder.add(image, builder.shl(element, ir.Constant(I64, 2)))
            found.append(emit_load_if(builder, address, inside))
        return cgutils.pack_array(builder, found)

    def store(builder: Any, panel: Any, column: Any) -> None:
        for row, value in enumerate(cgutils.unpack_tuple(builder, column)):
            text = f"st.shared.f32 [$0+{row * pitch}], $1;"
            assembly(builder, ir.VoidType(), text, "l,f", [panel, value], has_effect=True)

    parameters = [INT, INT, _INT3, _INT3, INT]
    return device_function(kind, parameters, load), device_function(types.void, [INT, kind], store)
