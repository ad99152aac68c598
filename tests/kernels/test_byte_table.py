"""Bytes looked up in a table: every way that CPUs have, any length, in place and in ranges of channels."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.jit import kernel_library
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.harness import poison, run

TARGETS = [x86_target(level) for level in ("sse", "avx2", "avx512")] + [host_target()]
VARIANT = Variant.of("byte.table")
TABLE = np.random.default_rng(0).permutation(256).astype(np.uint8)


@pytest.mark.jit
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu + target.features)
@pytest.mark.parametrize("count", [1, 63, 256, 16384 + 77])
def test_lookup(target: Target, count: int) -> None:
    if target.vector_bytes > host_target().vector_bytes:
        pytest.skip("this CPU has no AVX-512")
    images, x_gap, y_gap = 2, 5, 16
    x = np.random.default_rng(1).integers(0, 256, images * count + x_gap).astype(np.uint8)
    x[: min(count, 256)] = np.arange(min(count, 256))
    sizes = {"images": images, "count": count, "x_gap": x_gap, "y_gap": y_gap}
    y = poison((images * count + y_gap,), np.uint8)
    got = run(VARIANT, {"y": y, "x": x, "table": TABLE}, sizes, target)["y"]
    np.testing.assert_array_equal(got[:count], TABLE[x[:count]])
    np.testing.assert_array_equal(got[count + y_gap :], TABLE[x[count + x_gap :]])
    np.testing.assert_array_equal(got[count : count + y_gap], 255)
    even = sizes | {"x_gap": 0, "y_gap": 0}
    got = run(VARIANT, {"y": poison((2 * count,), np.uint8), "x": x[: 2 * count], "table": TABLE}, even, target)["y"]
    np.testing.assert_array_equal(got, TABLE[x[: 2 * count]])


@pytest.mark.parametrize(
    ("target", "instruction"),
    [
        (Target("aarch64-unknown-none-elf", "generic", "", 16), "tbl"),
        (x86_target("avx512", frozenset({"avx512vbmi"})), "vpermi2b"),
        (x86_target("avx2"), "vpshufb"),
    ],
    ids=lambda value: getattr(value, "cpu", value),
)
def test_the_instruction_of_each_cpu(target: Target, instruction: str) -> None:
    assert instruction in kernel_library.assembly(VARIANT, target).replace("vpermt2b", "vpermi2b").lower()


def test_other_cpus_read_byte_by_byte() -> None:
    text = kernel_library.assembly(VARIANT, Target("riscv64-unknown-none-elf", "generic-rv64", "", 16)).lower()
    assert "lbu" in text
