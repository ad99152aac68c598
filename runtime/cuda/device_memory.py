"""Device memory between calls: arenas, inputs and outputs are taken and given back without asking the driver again."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.runtime.cuda.device import Device


class DeviceMemory:
    """Blocks of a device that are not in use, by size. For one caller at a time."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._sizes: dict[int, int] = {}
        self._free: list[int] = []
        self._is_closed = False

    def take(self, size: int) -> int:
        """The address of at least ``size`` bytes, of undefined content: the smallest block that fits, or a new one.

        Raises:
            InputError: the device has not so much free memory.
        """
        fitting = [address for address in self._free if size <= self._sizes[address] <= 2 * size]
        if fitting:
            address = min(fitting, key=self._sizes.__getitem__)
            self._free.remove(address)
            return address
        if size > self._device.free_bytes():
            self.clear()
        address = self._device.allocate(size)
        self._sizes[address] = size
        return address

    def keeps(self, sizes: Sequence[int]) -> bool:
        """Whether these blocks can be taken without asking the device, whose answer takes long."""
        free = sorted(self._sizes[address] for address in self._free)
        for size in sorted(sizes, reverse=True):
            fitting = [kept for kept in free if size <= kept <= 2 * size]
            if not fitting:
                return False
            free.remove(min(fitting))
        return True

    def give(self, address: int) -> None:
        """A block is in use no more. Safe from any thread."""
        self._free.append(address)
        if self._is_closed:
            self.clear()

    def free_bytes(self) -> int:
        """Bytes that can be had, kept blocks included."""
        return self._device.free_bytes() + sum(self._sizes[address] for address in self._free)

    def clear(self) -> None:
        """Give the device all blocks back that are not in use."""
        while self._free:
            address = self._free.pop()
            self._device.release(address)
            del self._sizes[address]

    def close(self) -> None:
        """Keep no block any more, neither now nor when it is given back."""
        self._is_closed = True
        self.clear()
