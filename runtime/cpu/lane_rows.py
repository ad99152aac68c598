"""Squares of lanes x positions between rows of channels and blocks of lanes, transposed in registers. Imports numba."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from cnnc.runtime.cpu.element_moves import transposed
from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class LaneRows:
    """Functions for kernels. ``rows`` is the address of a table of int64, one address a lane; 0 marks a pad lane.

    ``to_block(block, rows, offset, count)`` reads ``count`` elements (at most L) at byte ``offset`` of every row and
    writes ``count`` vectors; pad lanes become 0. ``to_rows(rows, offset, block, count)`` is the inverse; pad lanes are
    dropped.
    """

    to_block: Any
    to_rows: Any


@functools.cache
def lane_rows(target: Target, size: int = 4) -> LaneRows:
    """The functions for the target's lanes and elements of ``size`` bytes, 4 or 1."""
    return LaneRows(
        intrinsic(target, lambda b, *values: _to_block(b, size, *values), 4),
        intrinsic(target, lambda b, *values: _to_rows(b, size, *values), 4),
    )


def _to_block(b: VectorBuilder, size: int, block: Any, rows: Any, offset: Any, count: Any) -> None:
    zero = b.index(0)
    loaded = []
    for lane in range(b.lanes):
        address = b.load_index(rows, 8 * lane)
        present = b.ir.icmp_signed("!=", address, zero)
        mask = b.tail_mask(b.ir.select(present, count, zero))
        # Nothing is read for pad lanes, but CPUs take hundreds of cycles over masked loads from unmapped addresses.
        place = b.ir.select(present, b.ir.add(address, offset), rows)
        loaded.append(b.load_masked(place, mask, 0, size))
    for position, value in enumerate(transposed(b, loaded)):
        with b.when(b.ir.icmp_signed("<", b.index(position), count)):
            b.ir.store(value, b.pointer(block, value.type, position * b.lanes * size), align=size)


def _to_rows(b: VectorBuilder, size: int, rows: Any, offset: Any, block: Any, count: Any) -> None:
    zero = b.index(0)
    whole = b.ir.icmp_signed("==", count, b.index(b.lanes))
    loaded = []
    for position in range(b.lanes):
        # Positions behind the end are read at the last one: their values are not stored.
        inside = b.ir.icmp_signed("<", b.index(position), count)
        place = b.ir.select(inside, b.index(position), b.ir.sub(count, b.index(1)))
        offset_in_block = b.ir.mul(place, b.index(b.lanes * size))
        kind = b.vector if size == 4 else b.bytes
        loaded.append(b.ir.load(b.pointer(block, kind, offset_in_block), align=size))
    for lane, value in enumerate(transposed(b, loaded)):
        address = b.load_index(rows, 8 * lane)
        with b.when(b.ir.icmp_signed("!=", address, zero)), b.ir.if_else(whole) as (full, part):
            with full:
                b.ir.store(value, b.pointer(address, value.type, offset), align=size)
            with part:
                b.store_masked(value, address, b.tail_mask(count), offset)
