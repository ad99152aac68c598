"""A GPU that is emulated: compiled kernels run on ``cnnc.ptx``, every access is checked and counted.

>>> device = EmulatedDevice("sm_80")                                               # doctest: +SKIP
>>> session = InferenceSession(cnnc.compile(model, target="cuda:sm_80"), device=device)   # doctest: +SKIP
>>> device.counters["conv.f32.implicit_gemm"].conflicts                             # doctest: +SKIP
0
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnc.errors import InputError, InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.ptx import Counters, Emulator, GlobalMemory, parse_ptx
from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.cuda.compile import ENTRY
from cnnc.runtime.cuda.kernel_library import compiled_ptx
from cnnc.runtime.cuda.target import DEFAULT_ARCHITECTURE, cuda_target
from cnnc.runtime.kernel import Variant

MEMORY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class EmulatedKernel:
    """A parsed kernel with the device's memory."""

    variant: Variant
    emulator: Emulator


class EmulatedDevice:
    """A device in this process.

    Args:
        architecture: what kernels are compiled for.
        memory_bytes: what the device pretends to have.

    Attributes:
        counters: what the launches of each kernel were charged with, by kernel name.
    """

    def __init__(self, architecture: str = DEFAULT_ARCHITECTURE, memory_bytes: int = MEMORY_BYTES) -> None:
        self._target = cuda_target(architecture)
        self._capacity = memory_bytes
        self._memory = GlobalMemory()
        self._sizes: dict[int, int] = {}
        self._kernels: dict[Variant, EmulatedKernel] = {}
        self.counters: dict[str, Counters] = {}

    @property
    def name(self) -> str:
        return f"emulated {self.architecture}"

    @property
    def architecture(self) -> str:
        return self._target.cpu

    @property
    def number(self) -> int:
        return 0

    @property
    def stream(self) -> int:
        return 1

    def wait_for(self, stream: int) -> None:
        """Everything is done at once: there is nothing to wait for."""

    def allocate(self, size: int) -> int:
        """The address of ``size`` bytes that hold 0xFF: NaN as floats.

        Raises:
            InputError: the device has not so much memory left.
        """
        if size > self.free_bytes():
            raise InputError(f"{size} bytes are not free on {self.name}", hint="use a device of more memory")
        address = self._memory.allocate(np.full(size, 0xFF, np.uint8))
        self._sizes[address] = size
        return address

    def release(self, address: int) -> None:
        del self._sizes[address]
        self._memory.release(address)

    def free_bytes(self) -> int:
        return self._capacity - sum(self._sizes.values())

    def upload(self, address: int, data: Bytes) -> None:
        self._bytes(address, data.size)[:] = data

    def download(self, data: Bytes, address: int) -> None:
        data[:] = self._bytes(address, data.size)

    def fill(self, address: int, size: int, value: int) -> None:
        self._bytes(address, size)[:] = value

    def prepare(self, variants: Sequence[Variant]) -> None:
        """Kernels are compiled when they are loaded."""

    def load(self, variant: Variant) -> EmulatedKernel:
        """The parsed PTX of a kernel.

        Raises:
            OptionError: numba-cuda is not installed.
        """
        if variant not in self._kernels:
            module = parse_ptx(compiled_ptx(variant, self._target))
            self._kernels[variant] = EmulatedKernel(variant, Emulator(module, self._memory))
        return self._kernels[variant]

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: Sequence[int]) -> None:
        """Run a kernel at once.

        Raises:
            AccessError: it touched what it must not.
        """
        found = kernel.emulator.launch(ENTRY, (blocks,), (threads,), list(arguments))
        self.counters.setdefault(kernel.variant.kernel, Counters()).add(found)

    def mark(self) -> float:
        """The time: launches run at once."""
        return time.perf_counter()

    def seconds_between(self, first: float, second: float) -> float:
        """Seconds of the emulation, which say nothing about a device."""
        return second - first

    def record(self, launch: Callable[[], None]) -> None:
        """Every launch is counted: there are no records."""

    def replay(self, record: Any) -> None:
        raise InternalError("an emulated device makes no records")

    def synchronize(self) -> None:
        """Launches run at once: there is nothing to wait for."""

    def _bytes(self, address: int, size: int) -> Bytes:
        """Part of an allocation.

        Raises:
            AccessError: no allocation has these bytes.
        """
        owner = self._memory.owner(np.array([address]), size)
        return owner.content[address - owner.address : address - owner.address + size]
