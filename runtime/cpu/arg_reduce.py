"""``arg_reduce``: place of the largest or smallest element along the axis.

x is [outer, axis, inner] float32 (``axis_view``), y is [outer, inner] int64. Parameters: ``kind`` (max or min),
``last`` (0: the first of equal elements, 1: the last). NaN wins over every number, as in NumPy. The axis has 1 to 2^24
elements: places are counted in float32 registers, which are exact up to there. Work item: ``axis_view``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.runtime.cpu import axis_view
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

LARGEST_AXIS = 1 << 24


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    return (
        Access("y", 0, 8 * sizes["outer"] * sizes["inner"], True),
        Access("x", 0, 4 * axis_view.elements(sizes), False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba.core import types

    from cnnc.runtime.cpu.registers import RegisterType, lanewise, registers, scalar_access

    v = registers(target)
    load, load_part, store, splat, lane_numbers = v.load, v.load_part, v.store, v.splat, v.lane_numbers
    read, _ = scalar_access(target, "f32")
    write_index = scalar_access(target, "i64")[1]
    lanes, vector_bytes, columns = target.lanes, target.vector_bytes, axis_view.COLUMNS
    last = bool(params["last"])
    beats = (">" if params["kind"] == "max" else "<") + ("=" if last else "")

    def emit_pick(b: Any, value: Any, best: Any, chosen: Any, other: Any) -> Any:
        """``chosen`` where ``value`` beats ``best``, else ``other``."""
        nan = b.is_nan(value) if last else b.ir.and_(b.is_nan(value), b.ir.not_(b.is_nan(best)))
        return b.select(b.ir.or_(b.compare(beats, value, best), nan), chosen, other)

    def emit_order(b: Any, value: Any, best: Any) -> Any:
        """2 where the scalar ``value`` is better than ``best``, 1 where they tie, else 0."""
        value_nan, best_nan = b.ir.fcmp_unordered("uno", value, value), b.ir.fcmp_unordered("uno", best, best)
        better = b.ir.or_(b.ir.fcmp_ordered(beats[0], value, best), b.ir.and_(value_nan, b.ir.not_(best_nan)))
        tie = b.ir.or_(b.ir.fcmp_ordered("==", value, best), b.ir.and_(value_nan, best_nan))
        return b.ir.select(better, b.index(2), b.ir.select(tie, b.index(1), b.index(0)))

    register = RegisterType(lanes)
    pick = lanewise(target, register, (register,) * 4, emit_pick)
    order = lanewise(target, types.int64, (types.float32, types.float32), emit_order)

    def arg_reduce(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, axis, inner = args[0], args[1], args[3], args[4]
        chunks = (inner + columns - 1) // columns
        for item in range(begin, end):
            if inner == 1:
                row = x + 4 * item * axis
                whole = axis // lanes
                place, winner = 0, read(row)
                if whole > 0:
                    best, where = load(row), lane_numbers()
                    for index in range(1, whole):
                        value = load(row + index * vector_bytes)
                        where = pick(value, best, lane_numbers() + splat(np.float32(index * lanes)), where)
                        best = pick(value, best, value, best)
                    store(scratch, best)
                    store(scratch + vector_bytes, where)
                    place, winner = int(read(scratch + vector_bytes)), read(scratch)
                    for lane in range(1, lanes):
                        value_of_lane = read(scratch + 4 * lane)
                        at = int(read(scratch + vector_bytes + 4 * lane))
                        rank = order(value_of_lane, winner)
                        if rank == 2 or (rank == 1 and (at > place) == last):
                            place, winner = at, value_of_lane
                for at in range(whole * lanes, axis):
                    rank = order(read(row + 4 * at), winner)
                    if rank == 2 or (rank == 1 and last):
                        place, winner = at, read(row + 4 * at)
                write_index(y + 8 * item, place)
                continue
            outer, first = item // chunks, item % chunks * columns
            for column in range(first, min(first + columns, inner), lanes):
                width = min(lanes, inner - column)
                address = x + 4 * (outer * axis * inner + column)
                best, where = load_part(address, width), splat(np.float32(0.0))
                for index in range(1, axis):
                    value = load_part(address + 4 * index * inner, width)
                    where = pick(value, best, splat(np.float32(index)), where)
                    best = pick(value, best, value, best)
                store(scratch, where)
                for lane in range(width):
                    write_index(y + 8 * (outer * inner + column + lane), int(read(scratch + 4 * lane)))

    return arg_reduce


KERNEL = KernelDef(
    name="arg_reduce",
    buffers=("y", "x"),
    sizes=axis_view.SIZES,
    build=_build,
    items=axis_view.items,
    footprint=_footprint,
    scratch_bytes=lambda sizes, params: 128,
)
