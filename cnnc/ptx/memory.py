"""The emulated device's memory: global allocations with bounds, and the windows of the other state spaces.

A generic address lies in one of three windows: shared and local memory have one each, everything else is global. All
accesses are checked: they must lie inside of one allocation or variable, and at a multiple of their size.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnc.errors import UserError

Array = np.ndarray[Any, Any]

GLOBAL_BASE = 1 << 40
SHARED_WINDOW = 1 << 56
LOCAL_WINDOW = 1 << 57
_GAP = 1 << 16
"""Between allocations: an access behind the end of one does not hit the next."""

_ALIGNMENT = 256


class AccessError(UserError):
    """A thread touched memory that it must not, or in a way that it must not."""


@dataclass(eq=False)
class Allocation:
    """``content`` is a flat view of bytes of the array that was given: kernels write to it."""

    address: int
    content: Array
    name: str

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.content.size)


@dataclass
class GlobalMemory:
    """Arrays with addresses."""

    allocations: list[Allocation] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _next: int = GLOBAL_BASE

    def allocate(self, array: Array, name: str = "") -> int:
        """The address of ``array``, which must be contiguous; the emulated kernels read and write it in place."""
        if not array.flags.c_contiguous:
            raise UserError("an array in device memory must be contiguous", where=name or "allocate")
        content = array.reshape(-1).view(np.uint8)
        allocation = Allocation(self._next, content, name or f"allocation {len(self.allocations)}")
        self.allocations.append(allocation)
        self._starts.append(allocation.address)
        self._next += -(-(allocation.size + _GAP) // _ALIGNMENT) * _ALIGNMENT
        return allocation.address

    def release(self, address: int) -> None:
        """Forget what ``allocate`` gave this address to: accesses there are errors from now on.

        Raises:
            AccessError: nothing starts there.
        """
        number = bisect.bisect_left(self._starts, address)
        if number == len(self._starts) or self._starts[number] != address:
            raise AccessError(f"nothing that starts at {address:#x} is allocated")
        del self._starts[number], self.allocations[number]

    def owner(self, addresses: Array, size: int) -> Allocation:
        """The allocation that holds ``size`` bytes at each of ``addresses``.

        Raises:
            AccessError: none does, or several do.
        """
        low, high = int(addresses.min()), int(addresses.max())
        number = bisect.bisect_right(self._starts, low) - 1
        if number >= 0:
            allocation = self.allocations[number]
            if low >= allocation.address and high + size <= allocation.address + allocation.size:
                return allocation
        raise AccessError(self._complaint(addresses, size))

    def parts(self, addresses: Array, size: int) -> list[tuple[Allocation, Array]]:
        """The allocations that hold ``size`` bytes at ``addresses``, each with where in ``addresses`` its own are.

        Raises:
            AccessError: some address is in no allocation.
        """
        numbers = np.searchsorted(np.asarray(self._starts, np.int64), addresses, side="right") - 1
        found = []
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            own = addresses[places]
            allocation = self.allocations[number] if number >= 0 else None
            if allocation is None or int(own.max()) + size > allocation.address + allocation.size:
                raise AccessError(self._complaint(own, size))
            found.append((allocation, places))
        return found

    def _complaint(self, addresses: Array, size: int) -> str:
        """Says of the worst address where it is beside what is allocated."""
        for address in (int(addresses.max()), int(addresses.min())):
            number = bisect.bisect_right(self._starts, address) - 1
            if number < 0:
                return f"an access of {size} bytes at {address:#x}, where nothing is allocated"
            allocation = self.allocations[number]
            offset = address - allocation.address
            if offset + size > allocation.size:
                return f"an access of {size} bytes at {offset} of {allocation.name}, which has {allocation.size}"
        return f"accesses of {size} bytes in several allocations"


def check_alignment(addresses: Array, size: int) -> None:
    """Refuse addresses that are no multiple of ``size``: devices trap on them."""
    if np.any(addresses & (size - 1)):
        bad = addresses[np.flatnonzero(addresses & (size - 1))[0]]
        raise AccessError(f"an access of {size} bytes at {int(bad):#x}, which is no multiple of it")
