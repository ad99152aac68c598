"""Copies between pageable memory of the host and a GPU, through two pinned buffers in turns.

The driver copies pageable memory through pinned memory too, but makes the caller wait for it. Here the next part is
copied to its buffer while the part before is on its way.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.cuda.driver_calls import checked

PART_BYTES = 4 << 20


class PinnedStaging:
    """Two pinned buffers of one stream. For one caller at a time, in whose thread the context is current."""

    def __init__(self, calls: Any, stream: Any) -> None:
        self._calls, self._stream = calls, stream
        self._addresses = [int(checked(calls.cuMemAllocHost(PART_BYTES))) for _ in range(2)]
        self._buffers = [_bytes_at(address, PART_BYTES) for address in self._addresses]
        flags = calls.CUevent_flags.CU_EVENT_DISABLE_TIMING
        self._copied = [checked(calls.cuEventCreate(flags)) for _ in range(2)]
        self._turn = 0

    def upload(self, address: int, data: Bytes) -> None:
        """Copy bytes to the device; they are read when this returns, and on the device some time later."""
        for start in range(0, data.size, PART_BYTES):
            part = data[start : start + PART_BYTES]
            turn = self._next()
            self._buffers[turn][: part.size] = part
            self._check(self._calls.cuMemcpyHtoDAsync(address + start, self._addresses[turn], part.size, self._stream))
            self._check(self._calls.cuEventRecord(self._copied[turn], self._stream))

    def download(self, data: Bytes, address: int) -> None:
        """Fill ``data`` with bytes of the device; they are there when this returns."""
        pending: tuple[int, int] | None = None
        for start in range(0, data.size, PART_BYTES):
            turn, size = self._next(), min(PART_BYTES, data.size - start)
            self._check(self._calls.cuMemcpyDtoHAsync(self._addresses[turn], address + start, size, self._stream))
            self._check(self._calls.cuEventRecord(self._copied[turn], self._stream))
            if pending is not None:
                self._take(data, *pending)
            pending = turn, start
        if pending is not None:
            self._take(data, *pending)

    def close(self) -> None:
        """Give the buffers back, errors ignored."""
        for event in self._copied:
            self._calls.cuEventDestroy(event)
        for address in self._addresses:
            self._calls.cuMemFreeHost(address)

    def _next(self) -> int:
        """The buffer whose turn it is, once its last copy is done."""
        self._turn = 1 - self._turn
        self._check(self._calls.cuEventSynchronize(self._copied[self._turn]))
        return self._turn

    def _take(self, data: Bytes, turn: int, start: int) -> None:
        self._check(self._calls.cuEventSynchronize(self._copied[turn]))
        part = data[start : start + PART_BYTES]
        part[:] = self._buffers[turn][: part.size]

    @staticmethod
    def _check(result: tuple[Any, ...]) -> None:
        checked(result)


def _bytes_at(address: int, size: int) -> Bytes:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
