"""Which library a target's kernels are in."""

from __future__ import annotations

from collections.abc import Callable

from cnnc.runtime import cpu, cuda
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.kernel import KernelDef, Target

KernelTable = Callable[[str], KernelDef]


def kernel_names(target: Target | None) -> frozenset[str]:
    """Kernels that programs for a target may name."""
    return frozenset(cuda.kernel_names() if is_cuda(target) else cpu.kernel_names()) - {"worker_loop"}


def kernel_table(target: Target | None) -> KernelTable:
    """Kernel definitions by name for a target; None stands for this machine's CPU."""
    return cuda.kernel_def if is_cuda(target) else cpu.kernel_def
