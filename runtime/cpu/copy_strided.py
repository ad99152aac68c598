"""``copy.strided``: copy of an N-d strided region to another one; serves every op that only moves elements.

Transpose, slice (negative steps too), concat and split (one copy a piece), pad (after ``copy.fill``), expand and tile
(source stride 0), depth_to_space, space_to_depth and channel shuffle are all one or a few such copies.

Takes: elements of 1, 2, 4 or 8 bytes (parameter ``size``), any type; at most 6 dims once ``arguments`` has merged those
that lie back to back; any strides, as long as the destination's elements are distinct. Source and destination must not
overlap. Bits are copied, so NaN payloads survive.

Work item: a block of ``block4 * block5`` elements of the two inner dims. Inner loops, chosen at run time: contiguous
runs are copied by vectors; where dim 4 is contiguous in the source and dim 5 in the destination, square tiles are
transposed in registers; a source stride of 0 is a splat; anything else goes element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnc.dims import Dim, ceil_div, floor_div, maximum, minimum, product
from cnnc.errors import InternalError
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

RANK = 6
_RUN_ELEMENTS = 8192
TRANSPOSE_BLOCK = 64
"""Rows and columns of a work item of a transpose; no other copy has as many of both."""

_DIMS = tuple(f"d{axis}" for axis in range(RANK))
_SOURCE = tuple(f"s{axis}" for axis in range(RANK))
_DESTINATION = tuple(f"t{axis}" for axis in range(RANK))


def arguments(shape: Sequence[Dim], source: Sequence[Dim], destination: Sequence[Dim]) -> dict[str, Dim]:
    """Size slots for a copy of ``shape`` elements with the given strides in elements (source strides may be 0 or < 0).

    Raises:
        InternalError: more than 6 dims remain after merging; see ``merged_rank``.
    """
    dims = _merge(shape, source, destination)
    if len(dims) > RANK:
        raise InternalError(f"a copy of {len(dims)} separate dims; copy.strided takes {RANK}")
    dims = _inner_order(dims)
    dims = [(1, 0, 0)] * (RANK - len(dims)) + dims
    inner = dims[-1][0]
    if _is_transpose(dims):
        block4: Dim = TRANSPOSE_BLOCK
        block5: Dim = TRANSPOSE_BLOCK
    else:
        block4 = maximum(floor_div(_RUN_ELEMENTS, maximum(inner, 1)), 1)
        block5 = maximum(minimum(inner, _RUN_ELEMENTS), 1)
    sizes: dict[str, Dim] = {}
    for names, position in ((_DIMS, 0), (_SOURCE, 1), (_DESTINATION, 2)):
        sizes.update({name: dim[position] for name, dim in zip(names, dims)})
    return sizes | {"block4": block4, "block5": block5}


def merged_rank(shape: Sequence[Dim], source: Sequence[Dim], destination: Sequence[Dim]) -> int:
    """Dims that remain after merging those that lie back to back on both sides."""
    return len(_merge(shape, source, destination))


_Axis = tuple[Dim, Dim, Dim]


def _merge(shape: Sequence[Dim], source: Sequence[Dim], destination: Sequence[Dim]) -> list[_Axis]:
    merged: list[_Axis] = []
    for size, s, t in zip(shape, source, destination):
        if size == 1:
            continue
        if merged:
            outer, outer_s, outer_t = merged[-1]
            if outer_s == s * size and outer_t == t * size:
                merged[-1] = (outer * size, s, t)
                continue
        merged.append((size, s, t))
    return merged


def _inner_order(dims: list[_Axis]) -> list[_Axis]:
    """The destination's contiguous dim last, and before it the source's contiguous one; the others keep their order."""
    last = [dim for dim in dims if dim[2] == 1][:1] or dims[-1:]
    rest = [dim for dim in dims if dim is not last[0]] if last else []
    before = [dim for dim in rest if dim[1] == 1][:1] if last and last[0][1] != 1 else []
    return [dim for dim in rest if not before or dim is not before[0]] + before + last


def _is_transpose(dims: list[_Axis]) -> bool:
    return dims[-1][2] == 1 and dims[-2][1] == 1 and dims[-1][1] != 1


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    outer = product(sizes[name] for name in _DIMS[:4])
    return outer * ceil_div(sizes["d4"], sizes["block4"]) * ceil_div(sizes["d5"], sizes["block5"])


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    return (
        strided_access("y", [sizes[n] for n in _DIMS], [sizes[n] for n in _DESTINATION], int(params["size"]), True),
        strided_access("x", [sizes[n] for n in _DIMS], [sizes[n] for n in _SOURCE], int(params["size"]), False),
    )


def strided_access(buffer: str, shape: Sequence[int], strides: Sequence[int], size: int, writes: bool) -> Access:
    """Bytes from the first to the last element (``size`` bytes each) of a strided region; none if it is empty."""
    if 0 in shape:
        return Access(buffer, 0, 0, writes)
    ends = [(extent - 1) * stride for extent, stride in zip(shape, strides)]
    low, high = sum(min(end, 0) for end in ends), sum(max(end, 0) for end in ends)
    return Access(buffer, low * size, (high + 1) * size, writes)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.element_moves import element_moves

    size = int(params["size"])
    moves = element_moves(target, size)
    copy_run, splat_run, copy_element, transpose_tile = (
        moves.copy_run,
        moves.splat_run,
        moves.copy_element,
        moves.transpose_tile,
    )
    tile = moves.tile

    def copy_strided(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x = args[0], args[1]
        d1, d2, d3, d4, d5 = args[3], args[4], args[5], args[6], args[7]
        s0, s1, s2, s3, s4, s5 = (
            args[8] * size,
            args[9] * size,
            args[10] * size,
            args[11] * size,
            args[12] * size,
            args[13] * size,
        )
        t0, t1, t2, t3, t4, t5 = (
            args[14] * size,
            args[15] * size,
            args[16] * size,
            args[17] * size,
            args[18] * size,
            args[19] * size,
        )
        block4, block5 = args[20], args[21]
        blocks4, blocks5 = (d4 + block4 - 1) // block4, (d5 + block5 - 1) // block5
        for item in range(begin, end):
            rest, b5 = item // blocks5, item % blocks5
            rest, b4 = rest // blocks4, rest % blocks4
            rest, i3 = rest // d3, rest % d3
            rest, i2 = rest // d2, rest % d2
            i0, i1 = rest // d1, rest % d1
            rows, columns = min(block4, d4 - b4 * block4), min(block5, d5 - b5 * block5)
            source = x + i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3 + b4 * block4 * s4 + b5 * block5 * s5
            destination = y + i0 * t0 + i1 * t1 + i2 * t2 + i3 * t3 + b4 * block4 * t4 + b5 * block5 * t5
            if t5 == size and s5 == size:
                for row in range(rows):
                    copy_run(destination + row * t4, source + row * s4, columns)
            elif t5 == size and s5 == 0:
                for row in range(rows):
                    splat_run(destination + row * t4, source + row * s4, columns)
            elif t5 == size and s4 == size:
                # Rows of a tile are contiguous in the source along dim 4, in the destination along dim 5.
                whole_rows, whole_columns = rows // tile * tile, columns // tile * tile
                for row in range(0, whole_rows, tile):
                    for column in range(0, whole_columns, tile):
                        transpose_tile(
                            destination + row * t4 + column * size, source + row * size + column * s5, t4, s5
                        )
                for row in range(rows):
                    first = whole_columns if row < whole_rows else 0
                    for column in range(first, columns):
                        copy_element(destination + row * t4 + column * size, source + row * size + column * s5)
            else:
                for row in range(rows):
                    for column in range(columns):
                        copy_element(destination + row * t4 + column * t5, source + row * s4 + column * s5)

    return copy_strided


KERNEL = KernelDef(
    name="copy.strided",
    buffers=("y", "x"),
    sizes=(*_DIMS, *_SOURCE, *_DESTINATION, "block4", "block5"),
    build=_build,
    items=_items,
    footprint=_footprint,
)
