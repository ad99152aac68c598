"""Step 4: the register tile in LLVM vectors. No sum leaves its register before it is complete.

``emit`` below writes LLVM IR: P x V vectors of sums, and a loop over input channels that loads V vectors of weights,
broadcasts P inputs, one after the other, and does P x V multiply-adds. This is how cnnc's own kernels are made
(``runtime/cpu/tile.py``): loops are Numba Python, what happens in registers is emitted by an intrinsic.

How large a tile? A multiply-add takes L cycles, and T of them can start in a cycle: at least L x T sums must be under
way, or the unit waits (Zen 4: 4 x 1 vectors of 64 bytes; Intel's servers: 4 x 2). A step loads V + P operands for P x
V multiply-adds, so larger is better, and all of P x V sums, V weights and perhaps one broadcast must fit in the
registers: 32 with AVX-512, 16 without. 14 x 2 takes 28 + 2 of 32; 6 x 2 takes 12 + 2 + 1 of 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lesson_07_conv_to_peak.layer import WINDOW, Built, Layer, Operands, channels_last, with_border
from numba import njit

from cnnc.ir import Array
from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
from cnnc.runtime.jit.target import host_target

FLOAT = 4
"""Bytes of a float32: addresses and distances are in bytes."""


def best_tile(lanes: int) -> tuple[int, int]:
    """Pixels and vectors of outputs of the tile that this step takes."""
    return (14, 2) if lanes == 16 else (6, 2)


def register_tile(pixels: int, vectors: int) -> Any:
    """A function for Numba code: ``tile(x, row, pixel, w, w_step, y, y_pixel, channels)``, all int64.

    x: address of the first tap's first input. row, pixel: bytes between rows and pixels of x; its channels lie one
    after the other. w: address of the first vector of weights, ``w_step`` bytes between those of two inputs. y:
    address of the first output, ``y_pixel`` bytes between pixels.
    """
    target = host_target()

    def emit(
        b: VectorBuilder, x: Any, row: Any, pixel: Any, w: Any, w_step: Any, y: Any, y_pixel: Any, channels: Any
    ) -> None:
        sums = [[b.variable(b.zero()) for _ in range(vectors)] for _ in range(pixels)]
        weight = b.variable(w)
        with b.loop(b.index(WINDOW)) as ky, b.loop(b.index(WINDOW)) as kx:
            place = b.variable(b.ir.add(x, b.ir.add(b.ir.mul(ky, row), b.ir.mul(kx, pixel))))
            with b.loop(channels):
                weights = [b.load(b.get(weight), number * target.vector_bytes) for number in range(vectors)]
                for number in range(pixels):
                    factor = b.broadcast(b.get(place), b.ir.mul(pixel, b.index(number)))
                    for total, vector in zip(sums[number], weights):
                        b.set(total, b.fma(vector, factor, b.get(total)))
                b.set(place, b.ir.add(b.get(place), b.index(FLOAT)))
                b.set(weight, b.ir.add(b.get(weight), w_step))
        for number, totals in enumerate(sums):
            for vector, total in enumerate(totals):
                offset = b.ir.add(b.ir.mul(y_pixel, b.index(number)), b.index(vector * target.vector_bytes))
                b.store(b.get(total), y, offset)

    return intrinsic(target, emit, 8)


def kernel(pixels: int, vectors: int, lanes: int) -> Any:
    """A Numba function of x [H + 2, W + 2, IC], w [KH, KW, IC, OC] and y [H, W, OC].

    OC is a multiple of the tile's, and W at least ``pixels``. Where W is no multiple the last tile of a row begins
    earlier and computes some pixels again: the same numbers, stored twice.
    """
    tile = register_tile(pixels, vectors)
    channels = vectors * lanes

    @njit
    def run_tiles(x: Array, w: Array, y: Array) -> None:
        height, width, outputs = y.shape
        inputs = x.shape[2]
        pixel = inputs * FLOAT
        row = x.shape[1] * pixel
        for r in range(height):
            for begin in range(0, width, pixels):
                c = min(begin, width - pixels)
                for o in range(0, outputs, channels):
                    tile(
                        x.ctypes.data + r * row + c * pixel,
                        row,
                        pixel,
                        w.ctypes.data + o * FLOAT,
                        outputs * FLOAT,
                        y.ctypes.data + ((r * width + c) * outputs + o) * FLOAT,
                        outputs * FLOAT,
                        inputs,
                    )

    return run_tiles


def build(layer: Layer, operands: Operands, lanes: int, tile: tuple[int, int] | None = None) -> Built:
    """The step for a layer, with another tile than the best one if wanted."""
    pixels, vectors = tile or best_tile(lanes)
    function = kernel(pixels, vectors, lanes)
    x, w = channels_last(operands.x), np.ascontiguousarray(operands.w.transpose(2, 3, 1, 0))
    bordered = with_border(np.zeros_like(x))
    y = np.empty((layer.size, layer.size, layer.outputs), np.float32)

    def run() -> None:
        bordered[1:-1, 1:-1] = x
        function(bordered, w, y)

    return Built(run, lambda: y.transpose(2, 0, 1), function, kept=(x, w, bordered))
