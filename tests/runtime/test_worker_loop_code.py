"""The machine code of the worker loop, for the CPU families it knows."""

from __future__ import annotations

import re

import pytest

from cnnc.runtime.jit import kernel_library
from cnnc.runtime.jit.target import x86_target
from cnnc.runtime.kernel import Target, Variant

pytestmark = pytest.mark.jit
LOOP = Variant.of("worker_loop")


@pytest.mark.parametrize("level", ["avx512", "avx2", "sse"])
def test_x86_claims_by_compare_and_swap_and_restores_mxcsr(level: str) -> None:
    text = kernel_library.assembly(LOOP, x86_target(level))
    assert re.search(r"lock\s+cmpxchgq", text)
    assert re.search(r"\bpause\b", text)
    assert len(re.findall(r"v?stmxcsr", text)) >= 2, "saved where it runs alone, and where it shares"
    assert len(re.findall(r"v?ldmxcsr", text)) >= 3, "set for each, and restored"
    assert not re.findall(r"\bcallq?\s+[A-Za-z_]", text), "it calls nothing by name"


def test_aarch64_sets_the_control_register() -> None:
    text = kernel_library.assembly(LOOP, Target("aarch64-unknown-none-elf", "generic", "", 16)).lower()
    assert re.search(r"msr\s+fpcr", text)
    assert re.search(r"\byield\b", text)
    assert re.search(r"ldaxr|casal?", text)


def test_unknown_cpu_families_still_compile() -> None:
    assert "worker" not in kernel_library.assembly(
        LOOP, Target("riscv64-unknown-none-elf", "generic-rv64", "+m,+a,+d", 16)
    )
