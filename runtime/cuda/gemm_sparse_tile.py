"""What a thread of ``gemm.f32.sparse`` does with an entry of a list. Imported only while a kernel is compiled."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.gemm_sparse import SparseRowsTile
from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I16, I64, INT, assembly, device_function


def sparse_rows_tile(tile: SparseRowsTile) -> tuple[Any, Any]:
    """(zero, add_entry) for Numba CUDA code.

    ``zero()`` is a tuple of rows x group sums. ``add_entry(sums, position, weights, panel)`` adds the products of an
    entry; all three are addresses, of its position, of its weights and of the panel in shared memory.
    """
    rows, group = tile.rows, tile.group
    kind = types.UniTuple(FLOAT, rows * group)

    def zero(builder: Any) -> Any:
        return ir.Constant(ir.ArrayType(F32, rows * group), [0.0] * (rows * group))

    def floats(builder: Any, opcode: str, address: Any, count: int) -> list[Any]:
        if count == 1:
            return [assembly(builder, F32, f"{opcode}.f32 $0, [$1];", "=f,l", [address], has_effect=True)]
        names = ",".join(f"${index}" for index in range(count))
        text = f"{opcode}.v{count}.f32 {{{names}}}, [${count}];"
        outputs = ",".join(["=f"] * count)
        result = ir.LiteralStructType([F32] * count)
        found = assembly(builder, result, text, f"{outputs},l", [address], has_effect=True)
        return [builder.extract_value(found, index) for index in range(count)]

    def add_entry(builder: Any, sums: Any, position: Any, weights: Any, panel: Any) -> Any:
        registers = cgutils.unpack_tuple(builder, sums)
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32")
        place = builder.zext(
            assembly(builder, I16, "ld.global.nc.u16 $0, [$1];", "=h,l", [position], has_effect=True), I64
        )
        factors = floats(builder, "ld.global.nc", weights, group)
        at = builder.add(panel, builder.mul(place, ir.Constant(I64, 4 * rows)))
        values = floats(builder, "ld.shared", at, rows)
        for row, value in enumerate(values):
            for column, factor in enumerate(factors):
                index = row * group + column
                registers[index] = builder.call(fma, [value, factor, registers[index]])
        return cgutils.pack_array(builder, registers)

    return device_function(kind, [], zero), device_function(kind, [kind, INT, INT, INT], add_entry)
