"""The code of CPU kernels: LLVM IR, assembly with what it takes, relocatable objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli.console import byte_count, counting, say
from cnnc.cli.failures import printable

if TYPE_CHECKING:
    from cnnc.runtime.kernel import Target, Variant

FORMS = ("llvm", "asm", "obj")
"""Optimised LLVM IR and assembly as text, and objects for the platform's tools, such as objdump."""

_SUFFIXES = {"llvm": "ll", "asm": "s", "obj": "o"}
_COMMENTS = {"llvm": ";", "asm": "#"}
_EXECUTABLE = 4
"""ELF's section flag SHF_EXECINSTR (System V ABI)."""


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What the assembly of a kernel takes.

    Attributes:
        instructions: of all paths; several fixed windows or edges of tiles are paths of their own.
        bytes: of these instructions.
        stack_moves, hottest_stack_moves: instructions with an operand on the stack, in all and in the innermost loop
            with the most multiply-adds: registers that were spilled, apart from the few that a function saves.
        hottest_loop, hottest_multiply_adds: instructions of that loop, and how many of them multiply and add.
    """

    instructions: int
    bytes: int
    stack_moves: int
    hottest_stack_moves: int
    hottest_loop: int
    hottest_multiply_adds: int


def code_facts(assembly: str, image: bytes) -> CodeFacts:
    """The facts of one kernel.

    Args:
        assembly: in AT&T syntax, as LLVM writes it.
        image: the relocatable ELF64 object of the same code.
    """
    from cnnc.runtime.jit.elf import read_object
    from cnnc.runtime.jit.listing import hottest_loop, whole_code

    size = sum(section.size for section in read_object(image).sections if section.flags & _EXECUTABLE)
    whole, loop = whole_code(assembly), hottest_loop(assembly)
    return CodeFacts(
        whole.instructions, size, whole.stack_moves, loop.stack_moves, loop.instructions, loop.multiply_adds
    )


def emit(kernels: Mapping[Variant, tuple[str, ...]], target: Target, form: str, folder: Path | None) -> None:
    """Show or write the code of kernels, each with the nodes that it runs."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with counting("compiling kernels") as count:
        for index, (variant, nodes) in enumerate(kernels.items(), 1):
            code = _code(variant, nodes, target, form)
            count(index, len(kernels))
            if folder is None:
                say(code.decode().expandtabs().rstrip() + "\n")
                continue
            path = folder / f"{index:02}-{variant.kernel}.{_SUFFIXES[form]}"
            path.write_bytes(code)
            say(f"{path}: {variant}, {byte_count(path.stat().st_size)}")


def _code(variant: Variant, nodes: tuple[str, ...], target: Target, form: str) -> bytes:
    from cnnc.runtime.jit.kernel_library import assembly, llvm_ir, object_code

    if form == "obj":
        return object_code(variant, target)
    # Names come from files: what is no comment any more would be code.
    names = (printable(" ".join(node.split())) for node in nodes)
    header = [str(variant), f"{target.cpu}, runs {len(nodes)} node(s):", *(f"  {name}" for name in names)]
    if form == "llvm":
        text = llvm_ir(variant, target)
    else:
        text = assembly(variant, target)
        image = object_code(variant, target)
        header += _told(code_facts(text, image)) if image.startswith(b"\x7fELF") else ()
    sign = _COMMENTS[form]
    return ("".join(f"{sign} {line}\n" for line in header) + text).encode()


def _told(facts: CodeFacts) -> tuple[str, ...]:
    size = byte_count(facts.bytes)
    lines = [f"{facts.instructions} instructions, {size}; {facts.stack_moves} have an operand on the stack"]
    if facts.hottest_multiply_adds:
        lines.append(
            f"hottest loop: {facts.hottest_loop} instructions, {facts.hottest_multiply_adds} of them multiply-adds, "
            f"{facts.hottest_stack_moves} with an operand on the stack (spilled registers)"
        )
    return tuple(lines)
