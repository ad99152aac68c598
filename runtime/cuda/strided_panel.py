"""Copies a panel of a matrix with any strides to shared memory, for products by ``register_tile``.

A panel has ``DEPTH`` rows, neighbours along the summed axis K, of ``width`` neighbours along the other axis. Threads
load it element by element, neighbours along the axis that is contiguous in memory: along the width a warp reads 32
neighbouring floats, along K it reads eight of each of four rows, a sector if they are aligned. Elements behind the
matrix are zeros. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.intrinsics import FLOAT, I64, INT, assembly, device_function, inlined
from cnnc.runtime.cuda.memory_access import emit_load_if
from cnnc.runtime.cuda.register_tile import DEPTH


@dataclass(frozen=True, slots=True)
class PanelCopy:
    """Functions for Numba CUDA code.

    Attributes:
        place: ``place(thread)`` is (row, column): of the panel's elements that the thread copies, the first.
        load: ``load(address, strides, left)`` gives the thread's elements, a tuple of float32. ``address`` is that of
            its first; ``strides`` the bytes from a row to the next and from a column to the next; ``left`` rows and
            columns of the matrix from the first element on.
        store: ``store(address, elements)``: ``address`` is the first's in shared memory.
    """

    place: Any
    load: Any
    store: Any


def panel_copy(width: int, pitch: int, threads: int, along_depth: bool) -> PanelCopy:
    """The functions for a block of threads.

    Args:
        width: a multiple of the threads, or a divisor.
        pitch: floats from a row of the panel to the next.
        along_depth: whether neighbours along K are neighbours in memory.
    """
    count = DEPTH * width // threads
    kind, pair = types.UniTuple(FLOAT, count), types.UniTuple(INT, 2)
    if along_depth:
        offsets = [(0, index * (threads // DEPTH)) for index in range(count)]
    else:
        offsets = [(index * threads // width, index * threads % width) for index in range(count)]

    def place(thread: int) -> Any:
        if along_depth:
            return thread % DEPTH, thread // DEPTH
        return thread // width, thread % width

    def load(builder: Any, address: Any, strides: Any, left: Any) -> Any:
        row_bytes, column_bytes = cgutils.unpack_tuple(builder, strides)
        rows, columns = cgutils.unpack_tuple(builder, left)
        found = []
        for row, column in offsets:
            down, across = ir.Constant(I64, row), ir.Constant(I64, column)
            inside = builder.and_(builder.icmp_signed(">", rows, down), builder.icmp_signed(">", columns, across))
            offset = builder.add(builder.mul(row_bytes, down), builder.mul(column_bytes, across))
            found.append(emit_load_if(builder, builder.add(address, offset), inside))
        return cgutils.pack_array(builder, found)

    def store(builder: Any, address: Any, elements: Any) -> None:
        for (row, column), value in zip(offsets, cgutils.unpack_tuple(builder, elements)):
            text = f"st.shared.f32 [$0+{4 * (row * pitch + column)}], $1;"
            assembly(builder, ir.VoidType(), text, "l,f", [address, value], has_effect=True)

    return PanelCopy(
        inlined(pair, [INT], place),
        device_function(kind, [INT, pair, pair], load),
        device_function(types.void, [INT, kind], store),
    )
