"""Which library a target's kernels are in."""

from __future__ import annotations

from collections.abc import Callable

from cnnc.runtime import cpu, cuda
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.kernel import KernelDef, Target

KernelTable = Callable[[str], KernelDef]


def has_kernel(name: str, target: Target | None) -> bool:
    """Whether programs for a target may name this kernel.

    Raises:
        ExtensionError: the package that offers it is broken.
    """
    known = cuda.has_kernel(name) if is_cuda(target) else cpu.has_kernel(name)
    return known and name != "worker_loop"


def kernel_table(target: Target | None) -> KernelTable:
    """Kernel definitions by name for a target; None stands for this machine's CPU."""
    return cuda.kernel_def if is_cuda(target) else cpu.kernel_def


def is_registered_here(name: str, target: Target | None) -> bool:
    """Whether only this process knows the kernel."""
    added = cuda.EXTENSIONS if is_cuda(target) else cpu.EXTENSIONS
    return added.is_registered_here(name)
