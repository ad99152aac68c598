"""``cnnc compile --emit llvm|asm|obj``: the code of a CPU program's kernels, and which of them are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnc.cli.cpu_code import code_facts
from cnnc.cli.kernel_code import chosen_kernels
from cnnc.compiler import compile
from cnnc.runtime.jit.elf import read_object
from cnnc.runtime.jit.target import maps_blobs
from cnnc.runtime.program import Program
from tests.cli.command_line import LENET, cnnc, done

on_elf = pytest.mark.skipif(not maps_blobs(), reason="objects of this platform are not ELF for x86-64")


@pytest.fixture(scope="module")
def program() -> Program:
    return compile(LENET).lowered.program


@pytest.mark.jit
def test_assembly_has_a_header_with_what_the_kernel_takes() -> None:
    text = done("compile", LENET, "--emit", "asm", "--node", "/f3/")
    header, code = text.partition(".text")[::2]
    assert header.startswith("# gemm.f32{") and "/f3/Gemm" in header and "instructions, " in header
    assert code.count("kernel:") == 1
    assert "\t" not in text


@pytest.mark.jit
def test_llvm_ir_is_written_a_file_a_kernel(tmp_path: Path) -> None:
    told = done("compile", LENET, "--emit", "llvm", "--node", "/f3/", "-o", tmp_path / "code")
    [path] = (tmp_path / "code").iterdir()
    assert path.name == "01-gemm.f32.ll" and str(path) in told
    text = path.read_text()
    assert text.startswith("; gemm.f32{") and "define void @kernel(" in text


@pytest.mark.jit
@on_elf
def test_objects_are_relocatable_elf(tmp_path: Path) -> None:
    done("compile", LENET, "--emit", "obj", "--kernel", "gemm", "--node", "/f3/", "-o", tmp_path)
    [path] = tmp_path.iterdir()
    assert path.suffix == ".o"
    assert "kernel" in {symbol.name for symbol in read_object(path.read_bytes()).symbols if symbol.section}


def test_each_kernel_once_with_its_nodes(program: Program) -> None:
    kernels = chosen_kernels(program)
    assert list(kernels) == list(program.variants())
    assert ("/c1/Conv, /Relu",) in kernels.values()
    assert {variant.kernel.partition(".")[0] for variant in chosen_kernels(program, "/c2/")} == {"conv"}
    assert {variant.kernel for variant in chosen_kernels(program, kernel="gemm")} == {"gemm.f32"}


def test_facts_of_code() -> None:
    body = "\tvfmadd231ps\t%zmm0, %zmm1, %zmm2\n\tvmovups\t8(%rsp), %zmm0\n"
    header = b"\x7fELF\x02\x01" + bytes(10) + b"\x01\x00" + bytes(22) + (64).to_bytes(8, "little") + bytes(10)
    section = (0).to_bytes(4, "little") * 2 + (6).to_bytes(8, "little") + bytes(16) + (13).to_bytes(8, "little")
    image = header + (64).to_bytes(2, "little") + b"\x01\x00\x00\x00" + section + bytes(24) + b"\0" * 8
    facts = code_facts(f"kernel:\n.L1:\n{body}\tjne\t.L1\n", image)
    assert (facts.instructions, facts.stack_moves, facts.hottest_multiply_adds, facts.bytes) == (3, 1, 1, 13)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--emit", "obj"], ["machine code is not printed", "-o"]),
        (["--emit", "ptx"], ["no ptx of programs for the CPU", "llvm, asm, obj"]),
        (["--emit", "asm", "--target", "cuda:sm_80"], ["no asm of programs for a GPU", "ptx"]),
        (["--emit", "asm", "-o", LENET], ["is a file", "name a folder"]),
        (["--emit", "asm", "--node", "/c7/Conv"], ["no kernel runs a node '/c7/Conv'", "did you mean /c2/Conv"]),
        (["--emit", "asm", "--kernel", "softmax"], ["'softmax'", "gemm.f32"]),
        (["--node", "c1"], ["--node", "--emit"]),
        (["--emit", "ir", "--kernel", "gemm"], ["--kernel", "--emit"]),
    ],
)
def test_what_makes_no_sense(options: list[str], parts: list[str]) -> None:
    result = cnnc("compile", LENET, *options)
    assert result.exit_code == 2
    for part in parts:
        assert part in result.output
