"""The end of tiles of bytes: int32 sums plus biases, times a factor a channel, to bytes of y. Imports numba."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.byte_access import WORD, join_words, words_type
from cnnc.runtime.cuda.byte_words import BYTES, emit_float, emit_word
from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I32, INT, assembly, device_function
from cnnc.runtime.cuda.requantization import emit_stored


def load_tuple(kind: Any, count: int) -> Any:
    """load(address): ``count`` int32 or float32, a multiple of 4, by the read-only path; Numba's type ``kind``."""
    element, letter, suffix = (F32, "f", "f32") if kind is FLOAT else (I32, "r", "u32")
    four = ir.LiteralStructType([element] * 4)

    def emit(builder: Any, address: Any) -> Any:
        found = []
        for offset in range(0, 4 * count, 16):
            text = f"ld.global.nc.v4.{suffix} {{$0,$1,$2,$3}}, [$4+{offset}];"
            quad = assembly(builder, four, text, ",".join([f"={letter}"] * 4) + ",l", [address], has_effect=True)
            found += [builder.extract_value(quad, index) for index in range(4)]
        return cgutils.pack_array(builder, found)

    return device_function(types.UniTuple(kind, count), [INT], emit)


def requantized(rows: int) -> Any:
    """requantized(sums, bias, factors, zero, least): the bytes of ``rows`` channels, 4 or 8, as words."""

    def emit(builder: Any, sums: Any, bias: Any, factors: Any, zero: Any, least: Any) -> Any:
        bytes = []
        for row in range(rows):
            total, added, factor = (builder.extract_value(value, row) for value in (sums, bias, factors))
            real = builder.fmul(emit_float(builder, builder.add(total, added)), factor)
            bytes.append(emit_stored(builder, real, zero, least))
        words = [emit_word(builder, bytes[first : first + BYTES]) for first in range(0, rows, BYTES)]
        return join_words(builder, words)

    channels = types.UniTuple(WORD, rows)
    return device_function(
        words_type(rows // BYTES), [channels, channels, types.UniTuple(FLOAT, rows), WORD, WORD], emit
    )
