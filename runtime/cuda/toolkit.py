"""Programs of NVIDIA's toolkit, as the extras ``cuda12`` and ``cuda13`` bring them. They need no GPU and no driver."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
from collections.abc import Sequence

from cnnc.runtime.cuda.toolkit_packages import NO_COMPILER, missing_package


def require_compiler() -> None:
    """Look whether everything is there that makes machine code of kernels.

    Raises:
        OptionError: something is not installed.
    """
    if importlib.util.find_spec("numba_cuda") is None:
        raise missing_package(NO_COMPILER)
    program("ptxas")


@functools.cache
def find_program(name: str) -> str | None:
    """Path of ``ptxas`` or ``nvdisasm``: of an installed package, of Conda, or in ``$CUDA_PATH``; None if absent."""
    try:
        from cuda.pathfinder import find_nvidia_binary_utility
    except ImportError:
        return None
    found: str | None = find_nvidia_binary_utility(name)
    return found


def program(name: str) -> str:
    """Path of a program.

    Raises:
        OptionError: it is not installed.
    """
    path = find_program(name)
    if path is None:
        raise missing_package(f"NVIDIA's program {name}, which machine code takes, is not installed")
    return path


def run(name: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit status.

    Raises:
        OptionError: it is not installed.
    """
    return subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)
