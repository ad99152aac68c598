"""Step 5: the data in the order in which the tile reads it.

- Weights are packed [OC / T][IC / L][KH][KW][L][T], T being the output channels of a tile: one stream from the first
  product to the last, at consecutive addresses. The compiler does this once.
- Tensors are blocked, [C / L][H][W][L]. Neighbouring pixels are a constant number of bytes apart, so the place of every
  input is a constant in the instruction that loads it: no address is computed, none takes a register.
- The loop over tiles of output channels is the outer one. All pixels use a tile's weights, which then lie in the
  second-level cache, before the next tile's are touched; in step 4 every tile of pixels went through all weights of the
  layer, which no core's own cache holds.
- Weights are asked for ahead of their use (a prefetch), for the times when they come from memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lesson_07_conv_to_peak.layer import WINDOW, Built, Layer, Operands, blocked, plain
from lesson_07_conv_to_peak.steps.step4_register_tile import FLOAT, best_tile
from numba import njit

from cnnc.ir import Array
from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
from cnnc.runtime.jit.target import host_target

AHEAD = 2048
"""Bytes of weights between their prefetch and their use."""


def packed(w: Array, lanes: int, channels: int) -> Array:
    """Weights [OC, IC, KH, KW] as [OC / channels][IC / lanes][KH][KW][lanes][channels]."""
    oc, ic, kh, kw = w.shape
    split = w.reshape(oc // channels, channels, ic // lanes, lanes, kh, kw)
    return np.ascontiguousarray(split.transpose(0, 2, 4, 5, 3, 1))


def blocked_tile(pixels: int, vectors: int) -> Any:
    """``tile(x, row, block, w, y, y_block, blocks)`` for Numba code, all int64.

    x: address of the first tap's first input. row, block: bytes between rows and channel blocks of x. w: packed
    weights. y: address of the first output, ``y_block`` bytes between channel blocks. blocks: IC / L.
    """
    target = host_target()
    pixel = target.vector_bytes

    def emit(b: VectorBuilder, x: Any, row: Any, block: Any, w: Any, y: Any, y_block: Any, blocks: Any) -> None:
        sums = [[b.variable(b.zero()) for _ in range(vectors)] for _ in range(pixels)]
        weight = b.variable(w)
        with b.loop(blocks) as i, b.loop(b.index(WINDOW)) as ky, b.loop(b.index(WINDOW)) as kx:
            offset = b.ir.add(b.ir.mul(i, block), b.ir.mul(ky, row))
            place = b.variable(b.ir.add(x, b.ir.add(offset, b.ir.mul(kx, b.index(pixel)))))
            with b.loop(b.index(b.lanes)):
                add_products(b, sums, b.get(place), b.get(weight))
                b.set(place, b.ir.add(b.get(place), b.index(FLOAT)))
                b.set(weight, b.ir.add(b.get(weight), b.index(vectors * target.vector_bytes)))
        store_sums(b, sums, y, y_block)

    return intrinsic(target, emit, 7)


def add_products(b: VectorBuilder, sums: list[list[Any]], place: Any, weight: Any, first: int = 0) -> None:
    """Add one input channel's products: ``sums[p][v]`` for the pixels from ``first`` on."""
    size = b.target.vector_bytes
    weights = [b.load(weight, number * size) for number in range(len(sums[0]))]
    for number in range(len(weights)):
        b.prefetch(weight, AHEAD + number * size)
    for number, totals in enumerate(sums, first):
        factor = b.broadcast(place, number * size)
        for total, vector in zip(totals, weights):
            b.set(total, b.fma(vector, factor, b.get(total)))
        # LLVM moves no load across this. Otherwise it may load all inputs first, and run out of registers.
        b.clobber_memory()


def store_sums(b: VectorBuilder, sums: list[list[Any]], y: Any, y_block: Any) -> None:
    """Store all sums; ``y`` is the address of the first."""
    for number, totals in enumerate(sums):
        for vector, total in enumerate(totals):
            offset = b.ir.add(b.ir.mul(y_block, b.index(vector)), b.index(number * b.target.vector_bytes))
            b.store(b.get(total), y, offset)


def kernel(pixels: int, vectors: int, lanes: int) -> Any:
    """A Numba function of x [IC / L, H + 2, W + 2, L], packed weights and y [OC / L, H, W, L]."""
    tile = blocked_tile(pixels, vectors)
    size = lanes * FLOAT

    @njit
    def run_tiles(x: Array, w: Array, y: Array) -> None:
        _, height, width, _ = y.shape
        row = x.shape[2] * size
        for o in range(w.shape[0]):
            weights = w.ctypes.data + o * w.strides[0]
            for r in range(height):
                for begin in range(0, width, pixels):
                    c = min(begin, width - pixels)
                    tile(
                        x.ctypes.data + r * row + c * size,
                        row,
                        x.shape[1] * row,
                        weights,
                        y.ctypes.data + ((o * vectors * height + r) * width + c) * size,
                        height * width * size,
                        x.shape[0],
                    )

    return run_tiles


def build(layer: Layer, operands: Operands, lanes: int) -> Built:
    """The step for a layer."""
    pixels, vectors = best_tile(lanes)
    function = kernel(pixels, vectors, lanes)
    x, w = blocked(operands.x, lanes), packed(operands.w, lanes, vectors * lanes)
    bordered = np.pad(np.zeros_like(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.empty((layer.outputs // lanes, layer.size, layer.size, lanes), np.float32)

    def run() -> None:
        bordered[:, 1:-1, 1:-1] = x
        function(bordered, w, y)

    return Built(run, lambda: plain(y), function, kept=(x, w, bordered))
