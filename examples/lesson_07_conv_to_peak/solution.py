"""Exercise 7, solved."""

from __future__ import annotations

from typing import Any

from cnnc.runtime.cpu.vector import VectorBuilder

FLOAT = 4


def loads_per_fma(pixels: int, vectors: int) -> float:
    """``vectors`` weights and ``pixels`` inputs for ``pixels * vectors`` multiply-adds."""
    return (pixels + vectors) / (pixels * vectors)


def registers_of(pixels: int, vectors: int) -> int:
    """Sums, weights, and one input."""
    return pixels * vectors + vectors + 1


def best_tile(registers: int, width: int, output_vectors: int, chains: int) -> tuple[int, int]:
    """The tile that fits and divides the layer, with fewest loads for a multiply-add, then most sums."""
    fitting = [
        (pixels, vectors)
        for pixels in range(1, width + 1)
        for vectors in range(1, output_vectors + 1)
        if width % pixels == 0 and output_vectors % vectors == 0
        if registers_of(pixels, vectors) <= registers and pixels * vectors >= chains
    ]
    return min(fitting, key=lambda tile: (loads_per_fma(*tile), -tile[0] * tile[1]))


def emit_tile(b: VectorBuilder, pixels: int, vectors: int, x: Any, w: Any, y: Any, channels: Any) -> None:
    """Sums in registers; the loop over channels; stores."""
    size = b.target.vector_bytes
    sums = [[b.variable(b.zero()) for _ in range(vectors)] for _ in range(pixels)]
    inputs, weights = b.variable(x), b.variable(w)
    with b.loop(channels):
        row = [b.load(b.get(weights), vector * size) for vector in range(vectors)]
        for pixel in range(pixels):
            factor = b.broadcast(b.get(inputs), pixel * FLOAT)
            for vector, weight in enumerate(row):
                total = sums[pixel][vector]
                b.set(total, b.fma(weight, factor, b.get(total)))
            b.clobber_memory()
        b.set(inputs, b.ir.add(b.get(inputs), b.index(pixels * FLOAT)))
        b.set(weights, b.ir.add(b.get(weights), b.index(vectors * size)))
    for pixel, totals in enumerate(sums):
        for vector, total in enumerate(totals):
            b.store(b.get(total), y, (pixel * vectors + vector) * size)
