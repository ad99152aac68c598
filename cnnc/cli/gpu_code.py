"""The code of GPU kernels: PTX, machine code and what it takes. It takes no GPU and no driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli.console import byte_count, counting, print_table, say

if TYPE_CHECKING:
    from cnnc.runtime.kernel import Target, Variant

FORMS = ("ptx", "cubin", "sass-stats")
"""PTX as text, machine code as files, and what machine code takes and is made of."""


def emit(variants: list[Variant], target: Target, form: str, folder: Path | None) -> None:
    """Compile kernels and show or write their code.

    Raises:
        OptionError: what compiles or lists kernels is not installed, or the assembler does not know the architecture.
    """
    from cnnc.runtime.cpu_limits import compile_jobs
    from cnnc.runtime.jit.parallel_compile import compile_many

    with counting("compiling kernels") as count:
        compile_many(variants, compile_jobs(), target, count)
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
