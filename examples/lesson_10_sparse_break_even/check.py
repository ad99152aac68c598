"""What is asked of exercise 10."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from cnnc.ir import Array
from cnnc.runtime.jit.listing import hottest_loop
from cnnc.runtime.jit.target import has_fma, host_target, is_x86


def check_blocks(student: ModuleType) -> None:
    """Part 1: what random zeros leave of blocks"""
    for density, expected in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.9375), (0.1, 0.3439)):
        got = student.blocks_left(density)
        assert abs(got - expected) < 1e-9, (
            f"with {density:.0%} of the weights left, {expected:.2%} of the blocks of four have one, got {got:.2%}"
        )


def check_pack(student: ModuleType) -> None:
    """Part 2: lists of blocks"""
    for outputs, inputs, density in ((8, 5, 0.4), (7, 9, 0.3), (1, 3, 1.0), (4, 6, 0.0)):
        w = sparse(outputs, inputs, density)
        case = f"pack of [{outputs}, {inputs}] with {np.count_nonzero(w)} weights"
        starts, positions, values = student.pack(w)
        blocks = -(-outputs // 4)
        padded = np.pad(w, ((0, 4 * blocks - outputs), (0, 0))).reshape(blocks, 4, inputs)
        kept = [np.flatnonzero(block.any(axis=0)) for block in padded]
        expected = [0, *np.cumsum([len(inputs_of) for inputs_of in kept])]
        assert list(starts) == expected, (
            f"{case}: starts should be {list(map(int, expected))}, got {list(map(int, starts))}"
        )
        assert list(positions) == list(np.concatenate(kept)), (
            f"{case}: positions should be the inputs that a block has a weight for, block after block"
        )
        assert values.shape == (len(positions), 4), f"{case}: values are {values.shape}, expected [{len(positions)}, 4]"
        assert (starts.dtype, positions.dtype, values.dtype) == (np.int64, np.int64, np.float32), (
            f"{case}: dtypes are {starts.dtype}, {positions.dtype} and {values.dtype}"
        )
        for block in range(blocks):
            part = slice(int(starts[block]), int(starts[block + 1]))
            found = np.zeros((inputs, 4), np.float32)
            found[positions[part]] = values[part]
            assert np.array_equal(found.T, padded[block]), (
                f"{case}: the values of block {block} are others than those of w"
            )


def check_results(student: ModuleType) -> None:
    """Part 3: the product"""
    rng = np.random.default_rng(3)
    for outputs, inputs, density, tiles in (
        (8, 12, 0.5, 2),
        (7, 9, 0.3, 1),
        (1, 1, 1.0, 3),
        (6, 4, 0.0, 1),
        (16, 64, 0.1, 2),
    ):
        w = sparse(outputs, inputs, density)
        x = rng.standard_normal((inputs, tiles * student.PIXELS), np.float32)
        used = w.any(axis=0)
        expected = w[:, used].astype(np.float64) @ x[used]
        x[~used] = np.nan
        room = np.full((outputs + 4, x.shape[1]), np.nan, np.float32)
        student.multiply(*student.pack(w), x, room[:outputs])
        case = f"[{outputs}, {inputs}] with {np.count_nonzero(w)} weights, {x.shape[1]} pixels"
        assert np.isnan(room[outputs:]).all(), f"{case}: something is written behind the last output"
        assert np.isfinite(room[:outputs]).all(), (
            f"{case}: results are NaN: inputs without a weight were multiplied, or not all outputs written"
        )
        error = np.abs(room[:outputs] - expected).max()
        assert error < 1e-4, f"{case}: the largest error is {error:.1e}"


def check_loop(student: ModuleType) -> None:
    """Part 4: an input is loaded once for four outputs"""
    x = np.zeros((4, student.PIXELS), np.float32)
    student.multiply(*student.pack(sparse(4, 4, 0.5)), x, np.zeros((4, student.PIXELS), np.float32))
    facts = hottest_loop(next(iter(student.multiply.inspect_asm().values())))
    assert facts.multiply_adds and facts.multiply_adds % 8 == 0, (
        f"the inner loop has {facts.multiply_adds} multiply-adds, expected 8, of 4 outputs x 2 vectors, or a multiple"
    )
    loads, entries = facts.loads + facts.folded_loads, facts.multiply_adds // 8
    assert loads <= 6 * entries, (
        f"the inner loop has {loads} loads for {entries} entries, expected 6 for each: 2 vectors of x and 4 weights"
    )
    assert facts.stack_moves == 0, (
        f"{facts.stack_moves} instructions of the inner loop use the stack: keep sums in names"
    )


def sparse(outputs: int, inputs: int, density: float) -> Array:
    """Weights of which about this share are not zero, anywhere."""
    rng = np.random.default_rng(outputs + inputs)
    w = rng.standard_normal((outputs, inputs), np.float32)
    return np.where(rng.random(w.shape) < density, w, np.float32(0))


_SHOWS_FMA = is_x86(host_target()) and has_fma(host_target())
PARTS = (check_blocks, check_pack, check_results, *([check_loop] if _SHOWS_FMA else []))
