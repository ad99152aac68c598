"""What measured times hold for: CPU, kernels, threads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cnnc.lower.candidates import tiled_rules
from cnnc.runtime import cpu, cuda
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.jit.cache_key import cache_key
from cnnc.runtime.jit.target import cpu_model
from cnnc.runtime.kernel import Target, Variant


@dataclass(frozen=True, slots=True)
class Environment:
    """Where layers were measured.

    Attributes:
        cpu: the CPU's model name, or the GPU's.
        target: LLVM's name of the CPU family, with features, or the GPU's architecture.
        threads: most threads of a call; 1 for a GPU.
        kernels: SHA-256 over the sources of all kernels that have tilings, and of the tools that compile them.
    """

    cpu: str
    target: str
    threads: int
    kernels: str

    @staticmethod
    def here(target: Target, threads: int | None = None, device: Device | None = None) -> Environment:
        """This machine and these kernels.

        Args:
            threads: None for all CPUs of the process.
            device: what a GPU target is measured on, where it is measured.
        """
        digest = hashlib.sha256()
        if is_cuda(target):
            # A rule may be several kernels there.
            for name in cuda.kernel_names():
                digest.update(cache_key(Variant(name), cuda.kernel_module(name), target).encode())
            return Environment("" if device is None else device.name, target.cpu, 1, digest.hexdigest())
        for name in sorted(tiled_rules(target)):
            digest.update(cache_key(Variant(name), cpu.kernel_module(name), target).encode())
        return Environment(
            cpu_model(), f"{target.cpu}{target.features}", threads or available_threads(), digest.hexdigest()
        )

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all four."""
        return hashlib.sha256("\0".join((self.cpu, self.target, str(self.threads), self.kernels)).encode()).hexdigest()
