"""What the threads of a sparse convolution do: copy a chunk of the input to the panel, and walk through their lists.

See ``sparse_packing`` for panel, chunk, list and record. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I32, I64, INT, assembly, device_function, each_part, inlined
from cnnc.runtime.cuda.memory_access import emit_load_quad, emit_load_quad_if, load_i32
from cnnc.runtime.cuda.sparse_packing import GROUP_BYTES, GROUPS, RECORD_ENTRIES, SparseTile
from cnnc.runtime.cuda.target import LANES


@dataclass(frozen=True, slots=True)
class SparseFunctions:
    """Functions for Numba CUDA code.

    Attributes:
        load: ``load(groups, left, pixel, sizes)`` gives what the thread copies of a chunk, a tuple of float32.
            ``groups``: address of its first group's row in the table; ``left``: groups from that one on. ``pixel`` is
            (address of the thread's quad of the pixel without tap, depth, height, width of the pixel, all 0 or more if
            the pixel exists, else 0 or 1); ``sizes`` are D, H, W and the bytes of a channel block of x.
        store: ``store(address, quads)``: to the panel.
        zero: ``zero()``: sums of a warp's channels for the thread's pixels, [channel][pixel].
        add_lists: ``add_lists(sums, panel, row, records)``: the products of a chunk. ``panel``: address of the thread's
            first pixel in its first row; ``row``: of the warp's row of the index.
    """

    load: Any
    store: Any
    zero: Any
    add_lists: Any


def sparse_functions(tile: SparseTile, has_window: bool) -> SparseFunctions:
    """The functions for a tile; without a window all taps have the offset 0, and every pixel that exists is read."""
    return SparseFunctions(*_copies(tile, has_window), *_products(tile))


def _copies(tile: SparseTile, has_window: bool) -> tuple[Any, Any]:
    at_a_time = tile.threads // (2 * tile.pixels)
    passes = GROUPS // at_a_time
    kind = types.UniTuple(FLOAT, 4 * passes)
    words = ir.LiteralStructType([I32] * 4)

    def group_row(builder: Any, address: Any, condition: Any) -> list[Any]:
        zeros = " ".join(f"mov.s32 ${index}, 0;" for index in range(4))
        load = "@p ld.global.nc.v4.s32 {$0,$1,$2,$3}, [$4];"
        text = f"{{ .reg .pred p; setp.ne.s32 p, $5, 0; {zeros} {load} }}"
        found = assembly(builder, words, text, "=&r,=&r,=&r,=&r,l,r", [address, builder.zext(condition, I32)])
        return [builder.extract_value(found, index) for index in range(4)]

    def load(builder: Any, groups: Any, left: Any, pixel: Any, sizes: Any) -> Any:
        base, *place, exists = cgutils.unpack_tuple(builder, pixel)
        *extents, block_bytes = cgutils.unpack_tuple(builder, sizes)
        # Pixels of an image are counted in 32 bits, which leaves registers to the sums.
        place, extents = ([builder.trunc(value, I32) for value in values] for values in (place, extents))
        is_pixel = builder.icmp_signed("!=", exists, ir.Constant(I64, 0))
        rows = []
        for number in range(passes):
            is_there = builder.icmp_signed(">", left, ir.Constant(I64, number * at_a_time))
            at = builder.add(groups, ir.Constant(I64, number * at_a_time * GROUP_BYTES))
            rows.append((is_there, group_row(builder, at, is_there)))
        found = []
        for is_there, (block, *offsets) in rows:
            inside = builder.and_(is_there, is_pixel)
            at = builder.add(base, builder.mul(builder.sext(block, I64), block_bytes))
            if has_window:
                index = ir.Constant(I32, 0)
                for start, offset, extent in zip(place, offsets, extents):
                    moved = builder.add(start, offset)
                    inside = builder.and_(inside, builder.icmp_unsigned("<", moved, extent))
                    index = builder.add(builder.mul(index, extent), moved)
                at = builder.add(at, builder.mul(builder.sext(index, I64), ir.Constant(I64, 4 * LANES)))
            found += cgutils.unpack_tuple(builder, emit_load_quad_if(builder, at, inside))
        return cgutils.pack_array(builder, found)

    def store(builder: Any, address: Any, quads: Any) -> None:
        values = cgutils.unpack_tuple(builder, quads)
        for index, value in enumerate(values):
            row = index // 4 * at_a_time * LANES + index % 4
            text = f"st.shared.f32 [$0+{4 * row * tile.pitch}], $1;"
            assembly(builder, ir.VoidType(), text, "l,f", [address, value], has_effect=True)

    place_type, size_type = types.UniTuple(INT, 5), types.UniTuple(INT, 4)
    return (
        device_function(kind, [INT, INT, place_type, size_type], load),
        device_function(types.void, [INT, kind], store),
    )


def _products(tile: SparseTile) -> tuple[Any, Any]:
    vectors, share = tile.vectors, tile.share
    size = tile.lists * share * vectors
    record_bytes = 16 * tile.record_quads
    list_type, record_type = types.UniTuple(FLOAT, share * vectors), types.UniTuple(FLOAT, 4 * tile.record_quads)
    pixels_type = ir.LiteralStructType([F32] * vectors) if vectors > 1 else F32

    def zero(builder: Any) -> Any:
        return ir.Constant(ir.ArrayType(F32, size), [0.0] * size)

    def emit_record(builder: Any, address: Any) -> Any:
        found = []
        for quad in range(tile.record_quads):
            at = builder.add(address, ir.Constant(I64, 16 * quad))
            found += cgutils.unpack_tuple(builder, emit_load_quad(builder, at))
        return cgutils.pack_array(builder, found)

    def panel_pixels(builder: Any, address: Any) -> list[Any]:
        names = ",".join(f"${index}" for index in range(vectors))
        target, kind = (f"{{{names}}}", f".v{vectors}") if vectors > 1 else ("$0", "")
        text = f"ld.shared{kind}.f32 {target}, [${vectors}];"
        loaded = assembly(builder, pixels_type, text, ",".join(["=f"] * vectors) + ",l", [address], has_effect=True)
        return [builder.extract_value(loaded, index) for index in range(vectors)] if vectors > 1 else [loaded]

    def emit_entries(builder: Any, sums: Any, panel: Any, record: Any) -> Any:
        registers, words = cgutils.unpack_tuple(builder, sums), cgutils.unpack_tuple(builder, record)
        weights = words[RECORD_ENTRIES:] if share == 1 else words[4:]
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32] * 3), "llvm.fma.f32")
        for entry in range(RECORD_ENTRIES):
            place = builder.zext(builder.bitcast(words[entry], I32), I64)
            pixels = panel_pixels(builder, builder.add(panel, place))
            for channel in range(share):
                weight = weights[entry * share + channel]
                for number, pixel in enumerate(pixels):
                    at = channel * vectors + number
                    registers[at] = builder.call(fma, [weight, pixel, registers[at]])
        return cgutils.pack_array(builder, registers)

    load_record = device_function(record_type, [INT], emit_record)
    add_entries = device_function(list_type, [list_type, INT, record_type], emit_entries)

    def add_list(part: Any, number: int, state: Any, facts: Any) -> Any:
        panel, low, high = facts
        at, record = state
        for _ in range((low if number < 4 else high) >> 8 * (number % 4) & 255):
            at += record_bytes
            # Its loads are under way while the products of the record before are added.
            following = load_record(at)
            part = add_entries(part, panel, record)
            record = following
        return part, (at, record)

    add_each_list = each_part(tile.lists, add_list)

    def add_lists(sums: Any, panel: int, row: int, records: int) -> Any:
        at = records + load_i32(row) * record_bytes
        # The lists of a warp lie one behind the other: what is read ahead is the first record of the next one.
        return add_each_list(sums, (at, load_record(at)), (panel, load_i32(row + 4), load_i32(row + 8)))

    kind = types.UniTuple(FLOAT, size)
    return device_function(kind, [], zero), inlined(kind, [kind, INT, INT, INT], add_lists)
