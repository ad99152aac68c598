"""Lanes of blocked bytes gathered into another tensor: any channels, pieces, gaps and sizes; every target."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu.layout_byte_lanes import lane_terms
from cnnc.runtime.jit import kernel_library
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import poison, run

TARGETS = [x86_target(level) for level in ("sse", "avx2")] + [host_target()]


@pytest.mark.jit
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
@pytest.mark.parametrize("positions", [1, 3, 49, 1030])
@pytest.mark.parametrize("kind", ["shuffle", "slice", "random", "none"])
@pytest.mark.parametrize("gaps", [(0, 0), (32, 16)])
def test_gather(target: Target, positions: int, kind: str, gaps: tuple[int, int]) -> None:
    lanes, channels, batch = target.lanes, 38, 2
    rng = np.random.default_rng(1)
    wanted = {
        "shuffle": np.arange(channels).reshape(2, -1).T.reshape(-1),
        "slice": np.arange(19, 38),
        "random": rng.integers(0, channels, 41),
        "none": np.arange(0),
    }[kind]
    x = rng.integers(0, 256, (batch, channels, positions)).astype(np.uint8)
    x_blocks, y_blocks = -(-channels // lanes), max(-(-len(wanted) // lanes), 1)
    table = np.full(y_blocks * lanes, -1)
    table[: len(wanted)] = wanted
    terms = lane_terms(table.tolist(), lanes)
    x_gap, y_gap = gaps
    rows = to_blocked(x, lanes, pad=77).reshape(batch, -1)
    source = np.concatenate([rows[0], np.full(x_gap, 99, np.uint8), rows[1]])
    size = y_blocks * positions * lanes
    buffers = {"y": poison((batch * size + y_gap,), np.uint8), "x": source}
    buffers |= {"starts": terms.starts, "sources": terms.sources, "indices": terms.indices}
    sizes = {"batch": batch, "x_blocks": x_blocks, "y_blocks": y_blocks, "positions": positions}
    sizes |= {"x_gap": x_gap, "y_gap": y_gap, "terms": len(terms.sources)}
    y = run(Variant.of("layout.byte_lanes", lanes=lanes), buffers, sizes, target)["y"]
    images = np.stack([y[:size], y[size + y_gap :]]).reshape(batch, y_blocks, positions, lanes)
    expected = np.zeros((batch, y_blocks * lanes, positions), np.uint8)
    expected[:, : len(wanted)] = x[:, wanted]
    np.testing.assert_array_equal(from_blocked(images, y_blocks * lanes), expected)
    np.testing.assert_array_equal(y[size : size + y_gap], 255)


@pytest.mark.parametrize(
    ("target", "instruction"),
    [(Target("aarch64-unknown-none-elf", "generic", "", 16), "tbl"), (x86_target("avx512"), "vpshufb")],
    ids=lambda value: getattr(value, "cpu", value),
)
def test_the_instruction_of_each_cpu(target: Target, instruction: str) -> None:
    variant = Variant.of("layout.byte_lanes", lanes=target.lanes)
    assert instruction in kernel_library.assembly(variant, target).lower()
