"""``byte.table``: every byte of a tensor looked up in a table of 256; any function of one byte.

x and y are [N, count] bytes that lie alike; x_gap and y_gap are the bytes between two images, for ranges of channels of
larger tensors. ``table`` is [256], indexed by a byte's bits: -1 of int8 is 255. Work item: 16384 bytes of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_ITEM = 16384
_ENTRIES = 256


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["images"] * ceil_div(sizes["count"], _ITEM)


def image_accesses(sizes: Mapping[str, int], written: str, *read: str) -> tuple[Access, ...]:
    """The bytes of [N, count] tensors whose images lie ``x_gap`` (for a buffer ``x``) bytes apart."""
    images, count = sizes["images"], sizes["count"]
    stops = {
        name: images * count + (images - 1) * sizes[f"{name}_gap"] if images and count else 0
        for name in (written, *read)
    }
    return tuple(Access(name, 0, stop, name == written) for name, stop in stops.items())


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from llvmlite import ir

    from cnnc.runtime.cpu.byte_lookup import byte_lookup, table_entry
    from cnnc.runtime.cpu.vector import I8, intrinsic

    def emit(b: Any, y: Any, x: Any, table: Any, count: Any) -> None:
        """Whole registers, then bytes."""
        size = b.target.vector_bytes
        kind = ir.VectorType(I8, size)
        look_up = byte_lookup(b, table)
        whole = b.ir.sdiv(count, b.index(size))
        with b.loop(whole) as number:
            offset = b.ir.mul(number, b.index(size))
            found = look_up(b.ir.load(b.pointer(x, kind, offset), align=1))
            b.ir.store(found, b.pointer(y, kind, offset), align=1)
        done = b.ir.mul(whole, b.index(size))
        with b.loop(b.ir.sub(count, done)) as number:
            offset = b.ir.add(done, number)
            found = table_entry(b, table, b.ir.load(b.pointer(x, I8, offset), align=1))
            b.ir.store(found, b.pointer(y, I8, offset), align=1)

    run = intrinsic(target, emit, 4)

    def byte_table(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, table, count, x_gap, y_gap = args[0], args[1], args[2], args[4], args[5], args[6]
        chunks = (count + _ITEM - 1) // _ITEM
        for item in range(begin, end):
            image, first = item // chunks, item % chunks * _ITEM
            out, source = y + image * (count + y_gap) + first, x + image * (count + x_gap) + first
            run(out, source, table, min(_ITEM, count - first))

    return byte_table


KERNEL = KernelDef(
    name="byte.table",
    buffers=("y", "x", "table"),
    sizes=("images", "count", "x_gap", "y_gap"),
    build=_build,
    items=_items,
    footprint=lambda sizes, params: (*image_accesses(sizes, "y", "x"), Access("table", 0, _ENTRIES, False)),
    inplace=lambda sizes, params: (("y", "x"),) if sizes["x_gap"] == sizes["y_gap"] else (),
)
