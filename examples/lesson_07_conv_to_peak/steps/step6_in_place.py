"""Step 6: no copy of the input, no border, no product with zero; and a core for each half of the channels.

The input lies in memory as its producer left it, without a border. A tap that hangs over the edge of the map leaves
part of the tile: at the left edge the tap kx = 0 has no input for the first pixel, at the right edge kx = 2 none for
the last. The code of every such part is emitted, with fewer multiply-adds; rows beyond the map only shorten the loop
over ky. So nothing is copied, and the products with padding are not computed at all: 1 in 20 for a 28x28 map.

Tiles of output channels are independent, and each thread takes half of them. Numba lets go of Python's lock.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from lesson_07_conv_to_peak.layer import WINDOW, Built, Layer, Operands, blocked, plain
from lesson_07_conv_to_peak.steps.step4_register_tile import FLOAT, best_tile
from lesson_07_conv_to_peak.steps.step5_packed_blocks import add_products, packed, store_sums
from numba import njit

from cnnc.ir import Array
from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
from cnnc.runtime.jit.target import host_target


def clipped_tile(pixels: int, vectors: int, is_first: bool, is_last: bool) -> Any:
    """``tile(x, row, block, w, first_ky, rows, y, y_block, blocks)`` for Numba code, all int64.

    x: address of the input under the tile's first output pixel, in the row that tap ``first_ky`` shows; ``rows`` taps
    lie in the map from there on. The rest as in step 5.

    Args:
        is_first, is_last: whether the tile stands at the left and at the right edge of the map.
    """
    target = host_target()
    size = target.vector_bytes
    tap = target.lanes * vectors * size

    def emit(
        b: VectorBuilder,
        x: Any,
        row: Any,
        block: Any,
        w: Any,
        first_ky: Any,
        rows: Any,
        y: Any,
        y_block: Any,
        blocks: Any,
    ) -> None:
        sums = [[b.variable(b.zero()) for _ in range(vectors)] for _ in range(pixels)]
        with b.loop(blocks) as i, b.loop(rows) as ky:
            source = b.ir.add(x, b.ir.add(b.ir.mul(i, block), b.ir.mul(ky, row)))
            window_row = b.ir.add(b.ir.mul(i, b.index(WINDOW)), b.ir.add(first_ky, ky))
            weights = b.ir.add(w, b.ir.mul(window_row, b.index(WINDOW * tap)))
            for kx in range(WINDOW):
                first = 1 if is_first and kx == 0 else 0
                stop = pixels - 1 if is_last and kx == WINDOW - 1 else pixels
                place = b.variable(b.ir.add(source, b.index((kx - 1) * size)))
                weight = b.variable(b.ir.add(weights, b.index(kx * tap)))
                with b.loop(b.index(b.lanes)):
                    add_products(b, sums[first:stop], b.get(place), b.get(weight), first)
                    b.set(place, b.ir.add(b.get(place), b.index(FLOAT)))
                    b.set(weight, b.ir.add(b.get(weight), b.index(vectors * size)))
        store_sums(b, sums, y, y_block)

    return intrinsic(target, emit, 9)


def kernel(pixels: int, vectors: int, lanes: int) -> Any:
    """A Numba function of x [IC / L, H, W, L], packed weights, y [OC / L, H, W, L], and the tiles of outputs to do."""
    inner, left = clipped_tile(pixels, vectors, False, False), clipped_tile(pixels, vectors, True, False)
    right, whole = clipped_tile(pixels, vectors, False, True), clipped_tile(pixels, vectors, True, True)
    size = lanes * FLOAT

    @njit(nogil=True)
    def run_tiles(x: Array, w: Array, y: Array, first: int, stop: int) -> None:
        _, height, width, _ = y.shape
        row, block = width * size, height * width * size
        for o in range(first, stop):
            weights = w.ctypes.data + o * w.strides[0]
            for r in range(height):
                ky = 1 if r == 0 else 0
                rows = min(WINDOW - 1, height - r) + 1 - ky
                source = x.ctypes.data + (r + ky - 1) * row
                result = y.ctypes.data + (o * vectors * height + r) * row
                for begin in range(0, width, pixels):
                    c = min(begin, width - pixels)
                    x_place, y_place = source + c * size, result + c * size
                    if width == pixels:
                        whole(x_place, row, block, weights, ky, rows, y_place, block, x.shape[0])
                    elif c == 0:
                        left(x_place, row, block, weights, ky, rows, y_place, block, x.shape[0])
                    elif c == width - pixels:
                        right(x_place, row, block, weights, ky, rows, y_place, block, x.shape[0])
                    else:
                        inner(x_place, row, block, weights, ky, rows, y_place, block, x.shape[0])

    return run_tiles


def build(layer: Layer, operands: Operands, lanes: int, threads: int = 1) -> Built:
    """The step for a layer."""
    pixels, vectors = best_tile(lanes)
    function = kernel(pixels, vectors, lanes)
    x, w = blocked(operands.x, lanes), packed(operands.w, lanes, vectors * lanes)
    y = np.empty((layer.outputs // lanes, layer.size, layer.size, lanes), np.float32)
    bounds = [len(w) * number // threads for number in range(threads + 1)]
    pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def run() -> None:
        if pool is None:
            function(x, w, y, 0, len(w))
            return
        others = [pool.submit(function, x, w, y, *part) for part in pairwise(bounds[1:])]
        function(x, w, y, bounds[0], bounds[1])
        for other in others:
            other.result()

    return Built(run, lambda: plain(y), function, threads, kept=(x, w))
