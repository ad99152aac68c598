"""What the runtime asks of a GPU: memory, copies, kernels. A real one (``driver``) or an emulated one offers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.kernel import Variant


class Device(Protocol):
    """A GPU with one stream: copies and launches happen in the order in which they are asked for.

    ``upload`` may return before it is done, but the caller may change ``data`` at once. ``download`` returns when the
    bytes are there. Addresses are multiples of 256.
    """

    @property
    def name(self) -> str:
        """For people: "NVIDIA A100-SXM4-40GB"."""

    @property
    def architecture(self) -> str:
        """``sm_80``: what kernels are compiled for."""

    @property
    def number(self) -> int:
        """Which GPU of the machine it is: 0 for the first."""

    @property
    def stream(self) -> int:
        """Handle of the stream, for who makes arrays that the device is to read."""

    def wait_for(self, stream: int) -> None:
        """Have the stream wait for what another one has still to do; 1 is the legacy default stream."""

    def allocate(self, size: int) -> int:
        """The address of ``size`` bytes, 1 at least.

        Raises:
            InputError: there is not so much free memory.
        """

    def release(self, address: int) -> None:
        """Give back what ``allocate`` gave."""

    def free_bytes(self) -> int:
        """Memory that can be allocated."""

    def upload(self, address: int, data: Bytes) -> None:
        """Copy bytes of the host to ``address``."""

    def download(self, data: Bytes, address: int) -> None:
        """Fill ``data`` with the bytes at ``address``."""

    def fill(self, address: int, size: int, value: int) -> None:
        """Set ``size`` bytes to ``value``."""

    def prepare(self, variants: Sequence[Variant]) -> None:
        """Have kernels compiled that ``load`` would otherwise compile one after another.

        Raises:
            OptionError: some are not compiled yet, and what compiles them is not installed.
        """

    def load(self, variant: Variant) -> Any:
        """A compiled kernel, to be launched; compiled, found in the cache, or loaded before.

        Raises:
            OptionError: it is not compiled yet, and what compiles it is not installed.
        """

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: Sequence[int]) -> None:
        """Run ``blocks`` thread blocks of ``threads`` threads with 64-bit arguments, after all that came before."""

    def mark(self) -> Any:
        """A point between what was asked before and what will be: see ``seconds_between``."""

    def seconds_between(self, first: Any, second: Any) -> float:
        """The device's time between two marks; waits for the second."""

    def record(self, launch: Callable[[], None]) -> Any | None:
        """What ``launch`` launches, to be launched again as one; nothing runs. None where the device cannot do so."""

    def replay(self, record: Any) -> None:
        """Launch what was recorded."""

    def synchronize(self) -> None:
        """Wait until everything is done.

        Raises:
            InternalError: a kernel failed.
        """
