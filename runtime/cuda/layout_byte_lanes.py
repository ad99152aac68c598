"""``layout.byte_lanes``: lanes of blocked bytes gathered into another tensor: shuffles, splits, slices of channels.

Buffers and sizes are those of the CPU kernel. Of the 16 indices of a term the first 8 are those of one pixel. A thread
makes ``_POSITIONS`` pixels of a block of y, each term by two byte permutations (``prmt``) and a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import layout_byte_lanes
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 128
_POSITIONS = 4
_ITEM = THREADS * _POSITIONS
_ROW = 16


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["batch"] * sizes["y_blocks"] * ceil_div(sizes["positions"], _ITEM)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.byte_access import PAIR, WORD, as_integer, as_word, word_access
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import I32, assembly, device_function

    picks_type = types.UniTuple(WORD, 4)

    def make_picks(builder: Any, indices: Any) -> Any:
        """(selector, mask) of each word: its bytes' indices as nibbles, and zeros where they say none."""
        found = []
        for word in cgutils.unpack_tuple(builder, indices):
            nibbles = [builder.and_(builder.lshr(word, I32(4 * number)), I32(7 << 4 * number)) for number in range(4)]
            selector = builder.or_(builder.or_(nibbles[0], nibbles[1]), builder.or_(nibbles[2], nibbles[3]))
            # A permutation that repeats signs: all ones where an index is 128.
            none = assembly(builder, I32, "prmt.b32 $0, $1, $1, 0xba98;", "=r,r", [word])
            found += [selector, builder.not_(none)]
        return cgutils.pack_array(builder, found)

    def merge(builder: Any, total: Any, pair: Any, picks: Any) -> Any:
        low, high = cgutils.unpack_tuple(builder, pair)
        chosen = cgutils.unpack_tuple(builder, picks)
        words = []
        for index, word in enumerate(cgutils.unpack_tuple(builder, total)):
            picked = assembly(builder, I32, "prmt.b32 $0, $1, $2, $3;", "=r,r,r,r", [low, high, chosen[2 * index]])
            words.append(builder.or_(word, builder.and_(picked, chosen[2 * index + 1])))
        return cgutils.pack_array(builder, words)

    picks_of = device_function(picks_type, [PAIR], make_picks)
    merged = device_function(PAIR, [PAIR, PAIR, picks_type], merge)
    fetch_word, fetch_pair, store_pair = word_access(1).fetch, word_access(2).fetch, word_access(2).store

    def layout_byte_lanes_kernel(args: Any) -> None:
        y, x, starts, sources, indices, _, x_blocks, y_blocks, positions, x_gap, y_gap, _ = args
        rest, chunk = divide(cuda.blockIdx.x, (positions + _ITEM - 1) // _ITEM)
        image, block = divide(rest, y_blocks)
        plane = positions * LANES
        out, source = y + rest * plane + image * y_gap, x + image * (x_blocks * plane + x_gap)
        first, stop = as_integer(fetch_word(starts + 4 * block)), as_integer(fetch_word(starts + 4 * block + 4))
        for number in range(_POSITIONS):
            position = chunk * _ITEM + number * THREADS + cuda.threadIdx.x
            if position < positions:
                pair = (as_word(0), as_word(0))
                for term in range(first, stop):
                    at = source + as_integer(fetch_word(sources + 4 * term)) * plane + position * LANES
                    pair = merged(pair, fetch_pair(at), picks_of(fetch_pair(indices + _ROW * term)))
                store_pair(out + position * LANES, pair)

    return layout_byte_lanes_kernel


KERNEL = KernelDef(
    name="layout.byte_lanes",
    buffers=layout_byte_lanes.KERNEL.buffers,
    sizes=layout_byte_lanes.KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=layout_byte_lanes.KERNEL.footprint,
    threads=lambda params: THREADS,
)
