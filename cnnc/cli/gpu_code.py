"""``cnnc compile --emit ptx|cubin|sass-stats``: the code of a GPU program's kernels. It takes no GPU and no driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli.console import byte_count, counting, print_table, say
from cnnc.errors import OptionError
from cnnc.runtime.cuda.target import is_cuda

if TYPE_CHECKING:
    from cnnc.runtime.kernel import Target, Variant
    from cnnc.runtime.program import Program

CODE_FORMS = ("ptx", "cubin", "sass-stats")
"""PTX as text, machine code as files, and what machine code takes and is made of."""


def check_code_options(form: str, target: str, folder: Path | None) -> None:
    """Refuse what makes no sense before a model is compiled.

    Raises:
        OptionError: the target is no GPU, or machine code has nowhere to go, or statistics have no file.
    """
    if not target.startswith("cuda"):
        raise OptionError(f"there is no {form} of programs for the CPU", where="--emit", hint="add --target cuda:sm_80")
    if form == "cubin" and folder is None:
        raise OptionError("machine code is not printed", where="--emit", hint="name a folder with -o")
    if form == "sass-stats" and folder is not None:
        raise OptionError("statistics are printed", where="--output", hint="leave it out")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file", where="--output", hint="name a folder")


def emit_code(program: Program, target: Target, form: str, folder: Path | None) -> None:
    """Compile a program's kernels and show or write their code.

    Raises:
        OptionError: what compiles or lists kernels is not installed, or the assembler does not know the architecture.
    """
    assert is_cuda(target)
    variants = list(dict.fromkeys(program.variants()))
    from cnnc.runtime.cpu_limits import available_threads
    from cnnc.runtime.jit.parallel_compile import compile_many

    with counting("compiling kernels") as count:
        compile_many(variants, available_threads(), target, count)
    if form == "sass-stats":
        _print_statistics(variants, target)
    elif folder is None:
        _print_ptx(variants, target)
    else:
        _write(variants, target, form, folder)


def _print_ptx(variants: list[Variant], target: Target) -> None:
    from cnnc.runtime.cuda.kernel_library import compiled_ptx

    for variant in variants:
        say(f"// {variant}")
        say(compiled_ptx(variant, target).strip())


def _write(variants: list[Variant], target: Target, form: str, folder: Path) -> None:
    from cnnc.runtime.cuda.kernel_library import compiled_cubin, compiled_ptx

    folder.mkdir(parents=True, exist_ok=True)
    for index, variant in enumerate(variants, 1):
        path = folder / f"{index:02}-{variant.kernel}.{form}"
        if form == "ptx":
            path.write_text(f"// {variant}\n{compiled_ptx(variant, target)}", encoding="utf-8")
        else:
            path.write_bytes(compiled_cubin(variant, target).image)
        say(f"{path}: {variant}, {byte_count(path.stat().st_size)}")


def _print_statistics(variants: list[Variant], target: Target) -> None:
    from cnnc.runtime.cuda import kernel_def
    from cnnc.runtime.cuda.device_facts import facts_of
    from cnnc.runtime.cuda.kernel_library import compiled_cubin
    from cnnc.runtime.cuda.machine_code import hottest_loop, listing, whole_kernel

    device = facts_of(target)
    rows = []
    for variant in variants:
        cubin = compiled_cubin(variant, target)
        use, text = cubin.resources, listing(cubin.image)
        threads, loop = kernel_def(variant.kernel).threads(variant.options), hottest_loop(text)
        occupancy = device.occupancy(threads, use.registers, use.shared_bytes)
        rows.append(
            (
                variant,
                threads,
                use.registers,
                use.shared_bytes,
                use.spilled_bytes,
                f"{occupancy:.0%}",
                whole_kernel(text).total,
                loop.total,
                f"{loop.arithmetic_share:.0%}",
                loop.shared_memory,
                loop.global_memory,
            )
        )
    print_table(
        (
            *("kernel", "threads>", "registers>", "shared>", "spilled>", "occupancy>", "code>"),
            *("loop>", "multiply>", "use shared>", "use global>"),
        ),
        rows,
        title=f"machine code for {target.cpu}: bytes of shared memory and of spilled registers, occupancy of "
        f"{device.name}, instructions of the code and of its hottest loop",
    )
