"""Loads and stores of words of four bytes, and of bytes, for Numba CUDA code. Addresses are int64.

A word is an int32, whatever it holds; several that one access moves are a tuple. ``fetch`` takes the read-only path,
for memory that the kernel does not write; ``load`` does not. Both have an effect in the eyes of the compiler: it would
move loads without one out of loops, over the conditions that make their addresses valid. Imported only while a kernel
is compiled.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.intrinsics import BOOL, I32, I64, INT, assembly, device_function

WORD = types.int32
PAIR = types.UniTuple(WORD, 2)


@dataclass(frozen=True)
class WordAccess:
    """Functions for Numba CUDA code that move ``count`` words; addresses are multiples of their size.

    Attributes:
        fetch, load: (address) -> words of global memory.
        fetch_if: (address, condition, fill): the words, or ``fill`` in all of them without touching memory.
        store: (address, words) to global memory.
        store_shared: (address, words) to shared memory.
    """

    fetch: Any
    load: Any
    fetch_if: Any
    store: Any
    store_shared: Any


def words_type(count: int) -> Any:
    """Numba's type of so many words: an int32, or a tuple of them."""
    return WORD if count == 1 else types.UniTuple(WORD, count)


def split_words(builder: Any, words: Any, count: int) -> list[Any]:
    return [words] if count == 1 else cgutils.unpack_tuple(builder, words)


def join_words(builder: Any, words: list[Any]) -> Any:
    return words[0] if len(words) == 1 else cgutils.pack_array(builder, words)


@functools.cache
def word_access(count: int) -> WordAccess:
    """For 1, 2 or 4 words."""
    suffix = {1: "", 2: ".v2", 4: ".v4"}[count]
    listed = ",".join(f"${index}" for index in range(count))
    registers = f"{{{listed}}}" if count > 1 else listed
    result = I32 if count == 1 else ir.LiteralStructType([I32] * count)

    def unpacked(builder: Any, found: Any) -> Any:
        words = [found] if count == 1 else [builder.extract_value(found, index) for index in range(count)]
        return join_words(builder, words)

    def load(space: str) -> Any:
        def emit(builder: Any, address: Any) -> Any:
            text = f"ld.{space}{suffix}.u32 {registers}, [${count}];"
            constraints = ",".join(["=r"] * count) + ",l"
            return unpacked(builder, assembly(builder, result, text, constraints, [address], has_effect=True))

        return device_function(words_type(count), [INT], emit)

    def fetch_if(builder: Any, address: Any, condition: Any, fill: Any) -> Any:
        fills = " ".join(f"mov.u32 ${index}, ${count + 2};" for index in range(count))
        wanted = f"setp.ne.s32 p, ${count + 1}, 0;"
        text = f"{{ .reg .pred p; {wanted} {fills} @p ld.global.nc{suffix}.u32 {registers}, [${count}]; }}"
        constraints = ",".join(["=&r"] * count) + ",l,r,r"
        values = [address, builder.zext(condition, I32), fill]
        return unpacked(builder, assembly(builder, result, text, constraints, values))

    def store(space: str) -> Any:
        sources = ",".join(f"${1 + index}" for index in range(count))
        packed = f"{{{sources}}}" if count > 1 else sources

        def emit(builder: Any, address: Any, words: Any) -> None:
            text = f"st.{space}{suffix}.u32 [$0], {packed};"
            constraints = "l" + ",r" * count
            values = [address, *split_words(builder, words, count)]
            assembly(builder, ir.VoidType(), text, constraints, values, has_effect=True)

        return device_function(types.void, [INT, words_type(count)], emit)

    return WordAccess(
        fetch=load("global.nc"),
        load=load("global"),
        fetch_if=device_function(words_type(count), [INT, BOOL, WORD], fetch_if),
        store=store("global"),
        store_shared=store("shared"),
    )


def _load_byte(space: str) -> Any:
    def emit(builder: Any, address: Any) -> Any:
        return assembly(builder, I32, f"ld.{space}.u8 $0, [$1];", "=r,l", [address], has_effect=True)

    return device_function(WORD, [INT], emit)


def _fetch_byte_if(builder: Any, address: Any, condition: Any, fill: Any) -> Any:
    text = "{ .reg .pred p; setp.ne.s32 p, $2, 0; mov.u32 $0, $3; @p ld.global.nc.u8 $0, [$1]; }"
    return assembly(builder, I32, text, "=&r,l,r,r", [address, builder.zext(condition, I32), fill])


def _store_byte(builder: Any, address: Any, value: Any) -> None:
    assembly(builder, ir.VoidType(), "st.global.u8 [$0], $1;", "l,r", [address, value], has_effect=True)


def _as_word(builder: Any, value: Any) -> Any:
    return builder.trunc(value, I32)


def _as_integer(builder: Any, word: Any) -> Any:
    return builder.sext(word, I64)


fetch_byte = _load_byte("global.nc")
"""fetch_byte(address): a byte from 0 to 255, as an int32; by the read-only path."""
load_byte = _load_byte("global")
fetch_byte_if = device_function(WORD, [INT, BOOL, WORD], _fetch_byte_if)
"""fetch_byte_if(address, condition, fill): the byte, or ``fill`` without touching memory."""
store_byte = device_function(types.void, [INT, WORD], _store_byte)
"""store_byte(address, word): the lowest byte."""
as_word = device_function(WORD, [INT], _as_word)
"""The low 32 bits of an int64."""
as_integer = device_function(INT, [WORD], _as_integer)
