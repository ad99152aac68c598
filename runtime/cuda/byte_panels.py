"""The loop over the steps of a product of bytes: panels of weights and pixels in shared memory, multiplied by a tile.

Two stages of both panels: while one is multiplied, the next is loaded to registers. Imports numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import cuda
from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.byte_access import WORD
from cnnc.runtime.cuda.byte_tile import ByteTile, TileCode
from cnnc.runtime.cuda.intrinsics import I32, INT, assembly, device_function
from cnnc.runtime.cuda.memory_access import shared_memory
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.word_loops import inlined_as_called


def panel_products(
    tile: ByteTile, code: TileCode, load: Callable[[Any, Any], Any], advance: Callable[[Any, Any], Any]
) -> Any:
    """``products((weights, steps, state), known)``: the tile of a thread's sums, for Numba CUDA code.

    ``weights`` is the address of the block's packed weights. ``load(state, known)`` gives the thread's pixel in a step:
    the 8 bytes of its ``copied_blocks`` blocks, as words; ``advance(state, known)`` is the state of the next step.
    ``place_of_thread`` says which pixel that is, and which blocks.
    """
    zero_tile, multiply, weights_of, slots_of, slot_of = (
        code.zero,
        code.multiply,
        code.weights_at,
        code.slots_at,
        code.slot,
    )
    shared = shared_memory(2 * tile.stage_bytes)
    threads, pitch, stage_bytes, weight_bytes = tile.threads, tile.pitch, tile.stage_bytes, tile.weight_bytes
    quads = tile.weight_quads
    copies = max(quads // threads, 1)
    all_copy = quads % threads == 0
    fetch_quads, store_quads = _quads(copies, 16 * threads)
    place, store_blocks = place_of_thread(tile), _store_pairs(tile)
    load_blocks = inlined_as_called(load, types.UniTuple(WORD, 2 * tile.copied_blocks))
    next_state = inlined_as_called(advance)

    def products(start: Any, known: Any) -> Any:
        weights, steps, state = start
        thread = cuda.threadIdx.x
        first_block, pixel = place(thread)
        panels = shared()
        copy_weights, weights_at = panels + 16 * thread, weights + 16 * thread
        copy_pixels = panels + weight_bytes + (first_block * pitch + slot_of(pixel)) * LANES
        read_weights, read_pixels = panels + weights_of(thread), panels + weight_bytes + slots_of(thread)
        copies_weights = all_copy or thread < quads
        sums = zero_tile()
        stage = 0
        for step in range(steps + 1):
            if step < steps:
                if copies_weights:
                    loaded_weights = fetch_quads(weights_at)
                weights_at += weight_bytes
                loaded = load_blocks(state, known)
                state = next_state(state, known)
            if step > 0:
                sums = multiply(sums, read_weights + stage, read_pixels + stage)
                stage = stage_bytes - stage
            if step < steps:
                if copies_weights:
                    store_quads(copy_weights + stage, loaded_weights)
                store_blocks(copy_pixels + stage, loaded)
                cuda.syncthreads()
        return sums

    return inlined_as_called(products, types.UniTuple(WORD, tile.rows * tile.columns))


def place_of_thread(tile: ByteTile) -> Any:
    """place(thread): (the first block of a step that it copies, its pixel of the block's); the next is
    ``blocks_apart`` blocks on."""

    def emit(builder: Any, thread: Any) -> Any:
        pixels = ir.Constant(ir.IntType(64), tile.pixels)
        return cgutils.pack_array(builder, [builder.udiv(thread, pixels), builder.urem(thread, pixels)])

    return device_function(types.UniTuple(INT, 2), [INT], emit)


def _quads(count: int, distance: int) -> tuple[Any, Any]:
    """(fetch, store) of ``count`` quads of words, ``distance`` bytes apart: global to shared memory."""
    four = ir.LiteralStructType([I32] * 4)
    kind = types.UniTuple(WORD, 4 * count)

    def fetch(builder: Any, address: Any) -> Any:
        words = []
        for index in range(count):
            text = f"ld.global.nc.v4.u32 {{$0,$1,$2,$3}}, [$4+{index * distance}];"
            quad = assembly(builder, four, text, "=r,=r,=r,=r,l", [address], has_effect=True)
            words += [builder.extract_value(quad, number) for number in range(4)]
        return cgutils.pack_array(builder, words)

    def store(builder: Any, address: Any, words: Any) -> None:
        for index in range(count):
            quad = [builder.extract_value(words, 4 * index + number) for number in range(4)]
            text = f"st.shared.v4.u32 [$0+{index * distance}], {{$1,$2,$3,$4}};"
            assembly(builder, ir.VoidType(), text, "l,r,r,r,r", [address, *quad], has_effect=True)

    return device_function(kind, [INT], fetch), device_function(types.void, [INT, kind], store)


def _store_pairs(tile: ByteTile) -> Any:
    """store(address, words): the blocks that a thread copies, to shared memory."""
    distance = tile.blocks_apart * tile.pitch * LANES

    def emit(builder: Any, address: Any, words: Any) -> None:
        for index in range(tile.copied_blocks):
            pair = [builder.extract_value(words, 2 * index), builder.extract_value(words, 2 * index + 1)]
            text = f"st.shared.v2.u32 [$0+{index * distance}], {{$1,$2}};"
            assembly(builder, ir.VoidType(), text, "l,r,r", [address, *pair], has_effect=True)

    return device_function(types.void, [INT, types.UniTuple(WORD, 2 * tile.copied_blocks)], emit)
