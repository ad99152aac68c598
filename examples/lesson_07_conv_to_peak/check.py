"""What is asked of exercise 7. Not speed: it follows from the facts of the assembly, and those are alike every day."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from lesson_07_conv_to_peak.inner_loop import hottest
from numba import njit

from cnnc.ir import Array
from cnnc.runtime.cpu.vector import VectorBuilder, intrinsic
from cnnc.runtime.jit.compile import function_assembly
from cnnc.runtime.jit.target import host_target, is_x86, x86_target
from cnnc.runtime.kernel import Target

REGISTERS = {"avx512": 32, "avx2": 16}
TILES = {"avx512": ((14, 2), (7, 3), (5, 5), (6, 1)), "avx2": ((6, 2), (4, 3), (3, 1))}
"""Tiles to look at the assembly of, by x86-64 level. LLVM compiles for both, whatever this CPU is."""


def check_counts(student: ModuleType) -> None:
    """Part 1: loads and registers of a tile"""
    for pixels, vectors in ((14, 2), (6, 2), (1, 1), (5, 5)):
        tile = f"a tile of {pixels} pixels x {vectors} vectors"
        loads, products = pixels + vectors, pixels * vectors
        got = student.loads_per_fma(pixels, vectors)
        assert abs(got - loads / products) < 1e-9, (
            f"{tile} loads {vectors} vectors of weights and {pixels} inputs for {products} multiply-adds: "
            f"loads_per_fma should be {loads / products:.3f}, got {got}"
        )
        found = student.registers_of(pixels, vectors)
        assert found == products + vectors + 1, (
            f"{tile} needs {products} registers for sums, {vectors} for weights and 1 for an input, got {found}"
        )


def check_choice(student: ModuleType) -> None:
    """Part 2: the best tile for a machine and a layer"""
    layers = (
        ("AVX-512, rows of 28 pixels, 256 outputs", (32, 28, 16, 4), (4, 4)),
        ("AVX-512, rows of 14 pixels, 32 outputs", (32, 14, 2, 8), (14, 2)),
        ("AVX-512, rows of 7 pixels, 48 outputs", (32, 7, 3, 8), (7, 3)),
        ("AVX2, rows of 24 pixels, 64 outputs", (16, 24, 8, 10), (6, 2)),
        ("AVX2, rows of 12 pixels, 24 outputs", (16, 12, 3, 10), (4, 3)),
        ("AVX2, rows of 30 pixels, 8 outputs", (16, 30, 1, 8), (10, 1)),
    )
    for name, (registers, width, vectors, chains), expected in layers:
        got = tuple(student.best_tile(registers, width, vectors, chains))
        assert got == expected, (
            f"{name}, {chains} chains at least: the best tile is {expected}, got {got}. It must divide the row and the "
            f"outputs, fit in {registers} registers, and of those with fewest loads for an FMA have most sums"
        )


def check_numbers(student: ModuleType) -> None:
    """Part 3: the tile's results"""
    target = host_target()
    rng = np.random.default_rng(0)
    for pixels, vectors, channels in ((4, 2, 19), (1, 1, 1), (3, 2, 64), (6, 2, 0)):
        outputs = vectors * target.lanes
        x = rng.standard_normal((channels, pixels), np.float32)
        w = rng.standard_normal((channels, outputs), np.float32)
        expected = x.T.astype(np.float64) @ w.astype(np.float64)
        y = np.full((pixels + 1, outputs), np.nan, np.float32)
        compiled(student, target, pixels, vectors)(x, w, y)
        case = f"{pixels} pixels x {vectors} vectors, {channels} channels"
        assert np.isnan(y[pixels]).all(), f"{case}: something is stored behind the tile's {pixels} pixels"
        assert np.isfinite(y[:pixels]).all(), (
            f"{case}: y holds what it held before, or sums begin with it; they begin with b.zero(), and all are stored"
        )
        error = np.abs(y[:pixels] - expected).max()
        assert error <= 1e-4, f"{case}: the largest error is {error:.1e}"


def check_assembly(student: ModuleType) -> None:
    """Part 4: the inner loop's assembly: no spills, no load too many"""
    for level, tiles in TILES.items():
        for pixels, vectors in tiles:
            target = x86_target(level)
            facts = hottest(function_assembly(kernel(student, target, pixels, vectors), target))
            case = f"{level}, {pixels} pixels x {vectors} vectors"
            products = pixels * vectors
            # A loop that LLVM unrolled holds several steps.
            steps = facts.multiply_adds // products
            assert facts.fused == steps * products > 0, (
                f"{case}: the loop has {facts.fused} FMA instructions, expected {products} or a multiple; "
                "use b.fma, once for every pixel and vector of a step"
            )
            assert facts.stack == 0, (
                f"{case}: {facts.stack} instructions of the loop use the stack, and the tile fits in "
                f"{REGISTERS[level]} registers. Are all inputs loaded before the first product? b.clobber_memory() "
                "behind the products of a pixel keeps LLVM from it"
            )
            assert facts.loads <= steps * (pixels + vectors), (
                f"{case}: {facts.loads} loads in {steps} steps, expected {steps * (pixels + vectors)} at most: "
                "a step loads each weight and each input once"
            )
            assert facts.stores == 0, (
                f"{case}: {facts.stores} stores in the loop: sums stay in variables until the loop has ended"
            )


def kernel(student: ModuleType, target: Target, pixels: int, vectors: int) -> Callable[..., Any]:
    """The student's tile as a kernel of cnnc: its arguments are the addresses x, w, y and the number of channels."""

    def emit(b: VectorBuilder, x: Any, w: Any, y: Any, channels: Any) -> None:
        student.emit_tile(b, pixels, vectors, x, w, y, channels)

    tile = intrinsic(target, emit, 4)

    def run(args: Any, begin: int, end: int, scratch: int) -> None:
        tile(args[0], args[1], args[2], args[3])

    return run


def compiled(student: ModuleType, target: Target, pixels: int, vectors: int) -> Callable[[Array, Array, Array], None]:
    """The student's tile as a function of arrays x [I, P], w [I, O] and y [P, O]."""

    def emit(b: VectorBuilder, x: Any, w: Any, y: Any, channels: Any) -> None:
        student.emit_tile(b, pixels, vectors, x, w, y, channels)

    tile = intrinsic(target, emit, 4)

    @njit
    def run(x: Array, w: Array, y: Array) -> None:
        tile(x.ctypes.data, w.ctypes.data, y.ctypes.data, x.shape[0])

    function: Callable[[Array, Array, Array], None] = run
    return function


PARTS = (check_counts, check_choice, check_numbers, *([check_assembly] if is_x86(host_target()) else []))
