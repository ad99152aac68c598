"""Pixels of bytes, the 8 channels of a block or one of a plain tensor, for the kernels of pools. Imports numba."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.cuda import types

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.byte_access import WORD, fetch_byte, store_byte, word_access
from cnnc.runtime.cuda.byte_words import emit_bytes, emit_dot, emit_float, emit_word
from cnnc.runtime.cuda.intrinsics import FLOAT, I32, INT, device_function, inlined
from cnnc.runtime.cuda.requantization import emit_stored


@dataclass(frozen=True)
class PixelCode:
    """Functions for Numba CUDA code. A pixel is a tuple of ``lanes`` int32, its elements.

    Attributes:
        fill: (number) -> a pixel of it.
        larger: (pixel, address) -> the larger elements of it and of the one in global memory.
        added: (pixel, address) -> their sums.
        scaled: (pixel, subtracted, factor, zero, least) -> bytes((element - subtracted) * factor), as elements.
        store: (address, pixel) its low bytes.
    """

    fill: Any
    larger: Any
    added: Any
    scaled: Any
    store: Any


def pixel_code(lanes: int, element: str) -> PixelCode:
    """For 8 lanes or 1, of bytes of type ``element``."""
    kind = types.UniTuple(WORD, lanes)
    pairs = word_access(2)
    fetch, store = (pairs.fetch, pairs.store) if lanes == 8 else (fetch_byte, store_byte)
    raw = types.UniTuple(WORD, 2) if lanes == 8 else WORD

    def words(builder: Any, loaded: Any) -> list[Any]:
        return cgutils.unpack_tuple(builder, loaded) if lanes == 8 else [loaded]

    def elements(builder: Any, loaded: Any) -> list[Any]:
        return [byte for word in words(builder, loaded) for byte in emit_bytes(builder, word, element)][:lanes]

    def fill(builder: Any, value: Any) -> Any:
        return cgutils.pack_array(builder, [builder.trunc(value, I32)] * lanes)

    def larger(builder: Any, pixel: Any, loaded: Any) -> Any:
        pairs_of = zip(cgutils.unpack_tuple(builder, pixel), elements(builder, loaded))
        return cgutils.pack_array(builder, [builder.select(builder.icmp_signed(">", a, b), a, b) for a, b in pairs_of])

    def added(builder: Any, pixel: Any, loaded: Any) -> Any:
        """``dp4a`` with a 1 picks a byte and adds it."""
        totals = cgutils.unpack_tuple(builder, pixel)
        parts = words(builder, loaded)
        found = [
            emit_dot(builder, I32(1 << 8 * (lane % 4)), parts[lane // 4], total, element)
            for lane, total in enumerate(totals)
        ]
        return cgutils.pack_array(builder, found)

    def scaled(builder: Any, pixel: Any, subtracted: Any, factor: Any, zero: Any, least: Any) -> Any:
        totals = cgutils.unpack_tuple(builder, pixel)
        reals = [builder.fmul(emit_float(builder, builder.sub(total, subtracted)), factor) for total in totals]
        return cgutils.pack_array(builder, [emit_stored(builder, real, zero, least) for real in reals])

    def packed(builder: Any, pixel: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, pixel)
        if lanes == 1:
            return parts[0]
        return cgutils.pack_array(builder, [emit_word(builder, parts[first : first + 4]) for first in (0, 4)])

    larger_of, added_to = device_function(kind, [kind, raw], larger), device_function(kind, [kind, raw], added)
    pack = device_function(raw, [kind], packed)
    return PixelCode(
        fill=device_function(kind, [INT], fill),
        larger=inlined(kind, [kind, INT], lambda pixel, address: larger_of(pixel, fetch(address))),
        added=inlined(kind, [kind, INT], lambda pixel, address: added_to(pixel, fetch(address))),
        scaled=device_function(kind, [kind, WORD, FLOAT, WORD, WORD], scaled),
        store=inlined(types.void, [INT, kind], lambda address, pixel: store(address, pack(pixel))),
    )
