"""``copy.strided``: copy of an N-d strided region to another one; serves every op that only moves elements.

Contract: ``cnnc.runtime.cpu.copy_strided``. Three ways, chosen at run time by sizes and addresses, so alike for all
threads:

- Runs of 16 bytes that lie at multiples of 16 on both sides: a thread moves one.
- Transposes, where dim 4 is contiguous in the source and dim 5 in the destination: tiles of 32 x 32 elements go through
  shared memory, so that loads and stores are both of neighbouring elements. A row of the tile is padded by 4 bytes:
  its columns lie in different banks.
- Anything else goes element by element, in the order of the destination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, product
from cnnc.runtime.cpu import copy_strided as cpu
from cnnc.runtime.cuda.flat_grid import THREAD_BYTES, THREADS, blocks_for_elements
from cnnc.runtime.kernel import KernelDef, Params, Target

_TILE = 32


def _is_transpose(sizes: Mapping[str, Dim]) -> bool:
    """Only transposes have these blocks; they are numbers then, whatever the sizes are."""
    return sizes["block4"] == cpu.TRANSPOSE_BLOCK and sizes["block5"] == cpu.TRANSPOSE_BLOCK


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    outer = product(sizes[f"d{axis}"] for axis in range(4))
    if _is_transpose(sizes):
        return outer * ceil_div(sizes["d4"], _TILE) * ceil_div(sizes["d5"], _TILE)
    return blocks_for_elements(outer * sizes["d4"] * sizes["d5"], int(params["size"]))


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.element_access import element_access, move_sixteen
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import shared_memory

    size = int(params["size"])
    global_access = element_access(size)
    move, load, store = global_access.move, global_access.load, global_access.store
    word = max(size, 4)
    shared_access = element_access(word, "shared")
    load_shared, store_shared = shared_access.load, shared_access.store
    pitch = (_TILE + 1) * word
    shared = shared_memory(_TILE * pitch)
    transpose_block, rows = cpu.TRANSPOSE_BLOCK, THREADS // _TILE
    whole = THREAD_BYTES // size

    def copy_strided(args: Any) -> None:
        y, x, d0, d1, d2, d3, d4, d5 = args[:8]
        s0, s1, s2, s3, s4, s5 = args[8:14]
        t0, t1, t2, t3, t4, t5, block4, block5 = args[14:]
        thread = cuda.threadIdx.x
        outer = d0 * d1 * d2 * d3
        if block4 == transpose_block and block5 == transpose_block:
            tiles4, tiles5 = (d4 + _TILE - 1) // _TILE, (d5 + _TILE - 1) // _TILE
            rest, tile5 = divide(cuda.blockIdx.x, tiles5)
            rest, tile4 = divide(rest, tiles4)
            rest, i3 = divide(rest, d3)
            rest, i2 = divide(rest, d2)
            i0, i1 = divide(rest, d1)
            first4, first5 = tile4 * _TILE, tile5 * _TILE
            source = x + size * (i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3)
            target = y + size * (i0 * t0 + i1 * t1 + i2 * t2 + i3 * t3)
            row, column = thread // _TILE, thread % _TILE
            tile = shared()
            for number in range(row, _TILE, rows):
                i4, i5 = first4 + column, first5 + number
                if i4 < d4 and i5 < d5:
                    store_shared(tile + number * pitch + column * word, load(source + size * (i4 + i5 * s5)))
            cuda.syncthreads()
            for number in range(row, _TILE, rows):
                i4, i5 = first4 + number, first5 + column
                if i4 < d4 and i5 < d5:
                    store(target + size * (i4 * t4 + i5), load_shared(tile + column * pitch + number * word))
            return

        steps = s0 | s1 | s2 | s3 | s4 | t0 | t1 | t2 | t3 | t4 | d5
        at_once = s5 == 1 and t5 == 1 and ((steps * size) | x | y) % THREAD_BYTES == 0
        width = whole if at_once else 1
        runs = d5 // width
        total = outer * d4 * runs
        moves = whole // width
        for number in range(moves):
            unit = (cuda.blockIdx.x * moves + number) * THREADS + thread
            if unit < total:
                rest, i5 = divide(unit, runs)
                rest, i4 = divide(rest, d4)
                i0, i1, i2, i3 = 0, 0, 0, 0
                if outer > 1:
                    rest, i3 = divide(rest, d3)
                    rest, i2 = divide(rest, d2)
                    i0, i1 = divide(rest, d1)
                source = x + size * (i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3 + i4 * s4 + i5 * s5 * width)
                target = y + size * (i0 * t0 + i1 * t1 + i2 * t2 + i3 * t3 + i4 * t4 + i5 * t5 * width)
                if at_once:
                    move_sixteen(target, source)
                else:
                    move(target, source)

    return copy_strided


KERNEL = KernelDef(
    name="copy.strided",
    buffers=cpu.KERNEL.buffers,
    sizes=cpu.KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
