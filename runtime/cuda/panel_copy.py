"""Copies of a step's panels for products on tensor cores: float32 of memory to rounded factors in shared memory.

A thread copies halves of blocks of a pixel, 4 of 8 channels each, and quads of packed weights. It holds the pixels in
registers while the warp multiplies the step before. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I16, I32, I64, INT, assembly, device_function
from cnnc.runtime.cuda.memory_access import emit_load_quad_if
from cnnc.runtime.cuda.target import capability
from cnnc.runtime.cuda.warp_tile import CHUNK_BYTES, WarpTile
from cnnc.runtime.kernel import Target

_QUAD = ir.LiteralStructType([F32] * 4)


def _quads(builder: Any, values: Any) -> list[list[Any]]:
    found = cgutils.unpack_tuple(builder, values)
    return [found[first : first + 4] for first in range(0, len(found), 4)]


def weight_copy(tile: WarpTile, target: Target) -> tuple[Any, Any]:
    """(begin, finish) of a thread's quads of weights, which need no conversion.

    ``begin(address, panel)`` starts the copy and gives what ``finish(panel, begun)`` takes, which ends it: in front of
    a barrier. From sm_80 on the copy is asynchronous and takes no registers.
    """
    places = [number * CHUNK_BYTES * tile.threads for number in range(tile.weight_loads)]
    void = ir.VoidType()

    def begin_asynchronously(builder: Any, address: Any, panel: Any) -> Any:
        for place in places:
            text = f"cp.async.cg.shared.global [$1+{place}], [$0+{place}], {CHUNK_BYTES};"
            assembly(builder, void, text, "l,l", [address, panel], has_effect=True)
        return ir.Constant(I64, 0)

    def wait(builder: Any, panel: Any, begun: Any) -> None:
        assembly(builder, void, "cp.async.wait_all;", "", [], has_effect=True)

    if capability(target) >= (8, 0):
        return device_function(INT, [INT, INT], begin_asynchronously), device_function(types.void, [INT, INT], wait)

    def load(builder: Any, address: Any, panel: Any) -> Any:
        found = []
        for place in places:
            text = f"ld.global.nc.v4.f32 {{$0,$1,$2,$3}}, [$4+{place}];"
            quad = assembly(builder, _QUAD, text, "=f,=f,=f,=f,l", [address])
            found += [builder.extract_value(quad, index) for index in range(4)]
        return cgutils.pack_array(builder, found)

    def store(builder: Any, panel: Any, begun: Any) -> None:
        for place, quad in zip(places, _quads(builder, begun)):
            text = f"st.shared.v4.f32 [$0+{place}], {{$1,$2,$3,$4}};"
            assembly(builder, void, text, "l,f,f,f,f", [panel, *quad], has_effect=True)

    kind = types.UniTuple(FLOAT, 4 * tile.weight_loads)
    return device_function(kind, [INT, INT], load), device_function(types.void, [INT, kind], store)


def pixel_copy(tile: WarpTile, target: Target) -> tuple[Any, Any, Any]:
    """(load, keep, store) of half a pixel's blocks of channels in a step.

    ``load(address, distance, blocks)``: a quad of each of ``tile.blocks`` blocks that lie ``distance`` bytes apart;
    zeros from number ``blocks`` on, without touching memory. ``keep(quads, counts, blocks, first)``: zeros where a
    block has no channel, ``counts`` being the address of how many each has, and ``first`` the lane of a quad's first
    element. ``store(address, quads)``: rounded, to the panel.
    """
    kind = types.UniTuple(FLOAT, 4 * tile.blocks)
    chunks = 1 if tile.factors.bytes == 2 else 2

    def load(builder: Any, address: Any, distance: Any, blocks: Any) -> Any:
        found = []
        for number in range(tile.blocks):
            is_there = builder.icmp_signed(">", blocks, ir.Constant(I64, number))
            quad = emit_load_quad_if(builder, address, is_there)
            found += cgutils.unpack_tuple(builder, quad)
            address = builder.add(address, distance)
        return cgutils.pack_array(builder, found)

    def keep(builder: Any, values: Any, counts: Any, blocks: Any, first: Any) -> Any:
        zero, found = ir.Constant(F32, 0.0), []
        first = builder.trunc(first, I32)
        for number, quad in enumerate(_quads(builder, values)):
            is_there = builder.zext(builder.icmp_signed(">", blocks, ir.Constant(I64, number)), I32)
            text = (
                f"{{ .reg .pred p; setp.ne.s32 p, $2, 0; mov.b32 $0, 0; @p ld.global.nc.b32 $0, [$1+{4 * number}]; }}"
            )
            count = builder.sub(assembly(builder, I32, text, "=&r,l,r", [counts, is_there]), first)
            for lane, value in enumerate(quad):
                found.append(builder.select(builder.icmp_signed(">", count, ir.Constant(I32, lane)), value, zero))
        return cgutils.pack_array(builder, found)

    def store(builder: Any, address: Any, values: Any) -> None:
        for number, quad in enumerate(_quads(builder, values)):
            words = _rounded(builder, quad, tile.precision, target)
            slots = ",".join(f"${index + 1}" for index in range(len(words)))
            text = f"st.shared.v{len(words)}.b32 [$0+{number * chunks * tile.chunk_pitch}], {{{slots}}};"
            constraints = ",".join(["l"] + ["r"] * len(words))
            assembly(builder, ir.VoidType(), text, constraints, [address, *words], has_effect=True)

    return (
        device_function(kind, [INT, INT, INT], load),
        device_function(kind, [kind, INT, INT, INT], keep),
        device_function(types.void, [INT, kind], store),
    )


def _rounded(builder: Any, quad: list[Any], precision: str, target: Target) -> list[Any]:
    """Words of four float32 as factors: four words of tf32, two of the others."""
    if precision == "tf32":
        return [assembly(builder, I32, "cvt.rna.tf32.f32 $0, $1;", "=r,f", [value]) for value in quad]
    if capability(target) >= (8, 0):
        # The first operand becomes the upper half.
        text = f"cvt.rn.{precision}x2.f32 $0, $2, $1;"
        return [assembly(builder, I32, text, "=r,f,f", quad[first : first + 2]) for first in (0, 2)]
    halves = [assembly(builder, I16, "cvt.rn.f16.f32 $0, $1;", "=h,f", [value]) for value in quad]
    return [
        builder.or_(builder.zext(low, I32), builder.shl(builder.zext(high, I32), ir.Constant(I32, 16)))
        for low, high in (halves[:2], halves[2:])
    ]
