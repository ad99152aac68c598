"""Every kernel through NVIDIA's assembler, for old and new architectures: no spills, occupancy as designed.

No GPU is needed. What the assembler's and the disassembler's texts look like is tested on its own.
"""

from __future__ import annotations

from typing import Any

import pytest

from cnnc.errors import InternalError, OptionError
from cnnc.runtime.cuda import kernel_def, kernel_names, toolkit
from cnnc.runtime.cuda.assemble import architectures, assemble, resource_use
from cnnc.runtime.cuda.cubin import Cubin, ResourceUse
from cnnc.runtime.cuda.device_facts import A100, facts_of
from cnnc.runtime.cuda.kernel_library import compiled_cubin
from cnnc.runtime.cuda.machine_code import hottest_loop, listing, whole_kernel
from cnnc.runtime.cuda.target import capability, cuda_target
from tests.cuda.variants import CASES, Case, conv_implicit_gemm, winograd_products
from tests.rotation import in_turn

needs_assembler = pytest.mark.skipif(toolkit.find_program("ptxas") is None, reason="ptxas is not installed (cuda13)")
needs_listing = pytest.mark.skipif(
    toolkit.find_program("nvdisasm") is None, reason="nvdisasm is not installed (cuda13)"
)


ARCHITECTURES = ("sm_80", "newest", "sm_75", "sm_86", "sm_89", "sm_90")


def parameters() -> list[Any]:
    """A case of each kernel for two architectures and a third in turn; all cases for all of them in long runs."""
    first = {case.variant.kernel: case for case in reversed(CASES)}
    others = [case for case in CASES if case is not first[case.variant.kernel]]
    long = [
        pytest.param(case, architecture, marks=pytest.mark.slow) for case in others for architecture in ARCHITECTURES
    ]
    return in_turn(list(first.values()), ARCHITECTURES, 2) + long


def machine_code(case: Case, architecture: str) -> Cubin:
    pytest.importorskip("numba_cuda")
    return compiled_cubin(case.variant, cuda_target(architecture))


def test_every_kernel_has_a_case():
    assert {case.variant.kernel for case in CASES} == set(kernel_names())


@needs_assembler
@pytest.mark.jit
@pytest.mark.parametrize(("case", "architecture"), parameters(), ids=str)
def test_no_spills_and_occupancy_as_designed(case, architecture):
    target = cuda_target(architectures()[-1] if architecture == "newest" else architecture)
    if capability(target) < divmod(case.oldest, 10):
        pytest.skip(f"needs sm_{case.oldest}")
    use = machine_code(case, target.cpu).resources
    threads = kernel_def(case.variant.kernel).threads(case.variant.options)
    assert use.spilled_bytes == 0
    assert use.shared_bytes <= 48 << 10
    if architecture == "newest":
        return  # its facts are not in the table: no occupancy is designed for it
    device = facts_of(target)
    # The table's numbers are for an A100: older devices hold half as many threads, and fewer blocks in shared memory.
    least = case.occupancy if device.threads >= A100.threads else threads / device.threads
    assert device.occupancy(threads, use.registers, use.shared_bytes) >= least, use


@needs_assembler
@needs_listing
@pytest.mark.jit
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90", "newest"])
def test_products_of_a_step_stand_in_the_hottest_loop(architecture):
    name = architectures()[-1] if architecture == "newest" else architecture
    loop = hottest_loop(listing(machine_code(Case(conv_implicit_gemm(8, 8, 8), 1), name).image))
    assert loop.multiply_adds >= 8 * 8 * 8
    assert loop.local_memory == loop.tensor == 0
    assert loop.shared_memory >= 8 * 4  # quads of both panels
    assert loop.arithmetic + loop.memory + loop.control + loop.other == loop.total


@needs_assembler
@needs_listing
@pytest.mark.jit
@pytest.mark.parametrize("threads", [8, 16])
def test_products_of_winograd_are_multiply_adds_mostly(threads):
    loop = hottest_loop(listing(machine_code(Case(winograd_products(8, 8, threads, 0, 0), 1), "sm_80").image))
    assert loop.multiply_adds >= 8 * 8 * 8 and loop.local_memory == 0
    assert loop.multiply_adds >= 0.85 * loop.total


REPORT = """ptxas info    : Compiling entry function 'kernel' for 'sm_80'
ptxas info    : Function properties for kernel
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 133 registers, used 1 barriers, 16 bytes cumulative stack size, 16640 bytes smem, 624 bytes cmem[0]
"""


def test_report_is_read():
    assert resource_use(REPORT) == ResourceUse(133, 16640, 16, 8, 12, 1)
    assert resource_use(REPORT).spilled_bytes == 20
    small = REPORT.replace(", used 1 barriers", "").replace(", 16640 bytes smem", "")
    assert resource_use(small) == ResourceUse(133, 0, 16, 8, 12, 0)
    with pytest.raises(InternalError, match="unknown form"):
        resource_use("ptxas fatal")


def test_occupancy_counts_threads():
    assert A100.occupancy(256, registers=32, shared_bytes=0) == 1.0
    assert A100.occupancy(256, registers=128, shared_bytes=16640) == 0.25
    assert A100.occupancy(512, registers=255, shared_bytes=0) == 0.0


@needs_assembler
@pytest.mark.parametrize(
    ("text", "architecture", "error", "words"),
    [
        ("", "sm_77", OptionError, "sm_80.*not for sm_77"),
        (".version 99.0\n.target sm_80\n.address_size 64", "sm_80", OptionError, "older than the compiler"),
        (
            ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry kernel() { nonsense; }",
            "sm_80",
            InternalError,
            "refuses",
        ),
    ],
)
def test_refusals_of_the_assembler(text, architecture, error, words):
    with pytest.raises(error, match=words):
        assemble(text, cuda_target(architecture))


def test_missing_assembler_is_named(monkeypatch):
    monkeypatch.setattr(toolkit, "find_program", lambda name: None)
    with pytest.raises(OptionError, match=r"ptxas.*not installed\n.*pip install 'cnnc\[cuda13\]'"):
        assemble("", cuda_target("sm_80"))


LISTING = """
kernel:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   S2R R3, SR_TID.X ;
.L_x_0:
        /*0020*/                   LDS.128 R4, [R3] ;
        /*0030*/                   FFMA R5, R6, R7, R5 ;
        /*0040*/             @!P0  FFMA R5, R6, R7, R5 ;
        /*0050*/              @P1 BRA `(.L_x_2) ;
        /*0060*/                   IADD3 R3, R3, 0x1, RZ ;
        /*0070*/              @P0 BRA `(.L_x_0) ;
.L_x_2:
        /*0080*/              @P2 BRA `(.L_x_1) ;
        /*0090*/                   EXIT ;
.L_x_3:
        /*00a0*/                   BRA `(.L_x_3);
        /*00b0*/                   NOP;
"""


def test_hottest_loop_is_an_innermost_one():
    loop = hottest_loop(LISTING)
    assert (loop.total, loop.multiply_adds, loop.shared_memory, loop.control, loop.other) == (6, 2, 1, 2, 1)
    assert loop.arithmetic_share == pytest.approx(1 / 3)
    assert whole_kernel(LISTING).total == 11
    assert hottest_loop("").total == 0
