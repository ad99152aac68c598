"""``cnnc compile --emit llvm|asm|obj|ptx|cubin|sass-stats``: the code of a program's kernels, all of them or a few."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli import cpu_code, gpu_code
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.runtime.kernel import Target, Variant
    from cnnc.runtime.program import KernelStep, Program

CODE_FORMS = (*cpu_code.FORMS, *gpu_code.FORMS)
_BINARY = ("obj", "cubin")


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """Which code of which kernels, and where it goes.

    Attributes:
        form: one of ``CODE_FORMS``.
        folder: where files go, one a kernel; None prints.
        node: only kernels of nodes whose name, op or origins contain this; "" for all.
        kernel: only kernels whose name contains this; "" for all.
    """

    form: str
    folder: Path | None = None
    node: str = ""
    kernel: str = ""

    def check(self, target: str) -> None:
        """Refuse what makes no sense before a model is compiled.

        Raises:
            OptionError: the target's kernels have no such form, machine code has nowhere to go, or statistics a file.
        """
        is_gpu = target.startswith("cuda")
        if is_gpu and self.form in cpu_code.FORMS:
            raise OptionError(
                f"there is no {self.form} of programs for a GPU",
                where="--emit",
                hint=f"use {', '.join(gpu_code.FORMS)}",
            )
        if not is_gpu and self.form in gpu_code.FORMS:
            raise OptionError(
                f"there is no {self.form} of programs for the CPU",
                where="--emit",
                hint=f"add --target cuda:sm_80, or use {', '.join(cpu_code.FORMS)}",
            )
        if self.form in _BINARY and self.folder is None:
            raise OptionError("machine code is not printed", where="--emit", hint="name a folder with -o")
        if self.form == "sass-stats" and self.folder is not None:
            raise OptionError("statistics are printed", where="--output", hint="leave it out")
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise OptionError(f"{self.folder} is a file", where="--output", hint="name a folder")


def emit_code(program: Program, target: Target, request: CodeRequest) -> None:
    """Compile the kernels that are asked for, each once, and show or write their code.

    Raises:
        OptionError: no kernel is of such a node or name; what compiles or lists a GPU's kernels is not installed.
    """
    from cnnc.runtime.cuda.target import is_cuda

    kernels = chosen_kernels(program, request.node, request.kernel)
    if is_cuda(target):
        gpu_code.emit(list(kernels), target, request.form, request.folder)
    else:
        cpu_code.emit(kernels, target, request.form, request.folder)


def chosen_kernels(program: Program, node: str = "", kernel: str = "") -> dict[Variant, tuple[str, ...]]:
    """The kernels of a program, each once, in order, with the nodes that they run.

    Args:
        node: only those of nodes whose name, op or origins contain this.
        kernel: only those whose name, with its parameters, contains this.

    Raises:
        OptionError: there is none.
    """
    steps = [step for step in _kernel_steps(program) if node in step.label or node in step.op]
    if not steps and node:
        labels = [step.label.partition(", ")[0] for step in _kernel_steps(program)]
        close = difflib.get_close_matches(node, labels, 1)
        hint = f"did you mean {close[0]}?" if close else "cnnc explain lists the nodes, and which run on the host"
        raise OptionError(f"no kernel runs a node {node!r}", where="--node", hint=hint)
    found: dict[Variant, dict[str, None]] = {}
    for step in steps:
        for variant in _variants(step):
            if kernel in str(variant):
                found.setdefault(variant, {})[step.label] = None
    if not found:
        names = sorted({variant.kernel for step in steps for variant in _variants(step)})
        what = f"none of its kernels is {kernel!r}" if names else "the program has no kernels"
        raise OptionError(what, where="--kernel", hint=f"it has {', '.join(names) or 'host steps only'}")
    return {variant: tuple(labels) for variant, labels in found.items()}


def _kernel_steps(program: Program) -> Iterator[KernelStep]:
    from cnnc.runtime.program import KernelStep

    return (step for step in program.steps if isinstance(step, KernelStep))


def _variants(step: KernelStep) -> Iterator[Variant]:
    return (call.variant for choice in step.choices for call in choice.calls)
