"""What measured times hold for: CPU, kernels, threads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cnnc.lower.candidates import TILED_RULES
from cnnc.runtime.cpu import kernel_module
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.jit.cache_key import cache_key
from cnnc.runtime.jit.target import cpu_model
from cnnc.runtime.kernel import Target, Variant


@dataclass(frozen=True, slots=True)
class Environment:
    """Where layers were measured.

    Attributes:
        cpu: the CPU's model name.
        target: LLVM's name of the CPU family, with features.
        threads: most threads of a call.
        kernels: SHA-256 over the sources of all kernels that have tilings, and of the tools that compile them.
    """

    cpu: str
    target: str
    threads: int
    kernels: str

    @staticmethod
    def here(target: Target, threads: int | None = None) -> Environment:
        """This machine and these kernels; ``threads`` None stands for all CPUs of the process."""
        digest = hashlib.sha256()
        for name in sorted(TILED_RULES):
            digest.update(cache_key(Variant(name), kernel_module(name), target).encode())
        return Environment(
            cpu_model(), f"{target.cpu}{target.features}", threads or available_threads(), digest.hexdigest()
        )

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all four."""
        return hashlib.sha256("\0".join((self.cpu, self.target, str(self.threads), self.kernels)).encode()).hexdigest()
