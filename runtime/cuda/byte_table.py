"""``byte.table``: every byte of a tensor looked up in a table of 256; any function of one byte.

Buffers and sizes are those of the CPU kernel. A block takes 16384 bytes of an image. It copies the table to shared
memory 32 times, one copy a bank, so that threads of a warp look up any bytes without a conflict. Threads move eight
bytes at once where all addresses are multiples of eight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import byte_table
from cnnc.runtime.cuda.target import WARP
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 256
_ITEM = 16384
_WORDS = 64
"""Of the table."""


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["images"] * ceil_div(sizes["count"], _ITEM)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from llvmlite import ir
    from numba import cuda

    from cnnc.runtime.cuda.byte_access import PAIR, WORD, load_byte, store_byte, word_access
    from cnnc.runtime.cuda.byte_words import emit_bytes, emit_word
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import I32, I64, INT, assembly, device_function
    from cnnc.runtime.cuda.memory_access import shared_memory

    def entry(builder: Any, byte: Any, copy: Any) -> Any:
        """Byte b is byte b % 4 of word b / 4, which every bank has."""
        word = builder.mul(builder.lshr(byte, I32(2)), I32(4 * WARP))
        place = builder.zext(builder.add(word, builder.and_(byte, I32(3))), I64)
        address = builder.add(copy, place)
        return assembly(builder, I32, "ld.shared.u8 $0, [$1];", "=r,l", [address], has_effect=True)

    def pair_entries(builder: Any, pair: Any, copy: Any) -> Any:
        words = []
        for index in range(2):
            bytes = emit_bytes(builder, builder.extract_value(pair, index), "u8")
            words.append(emit_word(builder, [entry(builder, byte, copy) for byte in bytes]))
        return ir_pair(builder, words)

    def ir_pair(builder: Any, words: list[Any]) -> Any:
        pair = ir.Constant(ir.ArrayType(I32, 2), ir.Undefined)
        for index, word in enumerate(words):
            pair = builder.insert_value(pair, word, index)
        return pair

    look_up_pair = device_function(PAIR, [PAIR, INT], pair_entries)
    look_up = device_function(WORD, [WORD, INT], entry)
    pairs, words = word_access(2), word_access(1)
    load_pair, store_pair, fetch_word, store_word = pairs.load, pairs.store, words.fetch, words.store_shared
    shared = shared_memory(4 * _WORDS * WARP)

    def byte_table_kernel(args: Any) -> None:
        y, x, table, _, count, x_gap, y_gap = args
        chunks = (count + _ITEM - 1) // _ITEM
        image, chunk = divide(cuda.blockIdx.x, chunks)
        thread = cuda.threadIdx.x
        base = shared()
        for first in range(0, _WORDS * WARP, THREADS):
            number = first + thread
            store_word(base + 4 * number, fetch_word(table + 4 * (number // WARP)))
        cuda.syncthreads()
        copy = base + 4 * (thread % WARP)
        out = y + image * (count + y_gap) + chunk * _ITEM
        source = x + image * (count + x_gap) + chunk * _ITEM
        size = min(_ITEM, count - chunk * _ITEM)
        paired = size // 8 * 8 if (out | source) % 8 == 0 else 0
        for offset in range(8 * thread, paired, 8 * THREADS):
            store_pair(out + offset, look_up_pair(load_pair(source + offset), copy))
        for offset in range(paired + thread, size, THREADS):
            store_byte(out + offset, look_up(load_byte(source + offset), copy))

    return byte_table_kernel


KERNEL = KernelDef(
    name="byte.table",
    buffers=byte_table.KERNEL.buffers,
    sizes=byte_table.KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=byte_table.KERNEL.footprint,
    inplace=byte_table.KERNEL.inplace,
    threads=lambda params: THREADS,
)
