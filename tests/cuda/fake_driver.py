"""``fake_driver.c`` as this process's libcuda, with an emulated device behind it.

It has to stand in LD_LIBRARY_PATH when the process starts: see ``test_driver.py``, which runs ``driver_scenarios.py``.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.emulation import EmulatedDevice
from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.cuda import driver, kernel_def
from cnnc.runtime.cuda.cubin import Cubin
from cnnc.runtime.cuda.kernel_library import compiled_cubin
from cnnc.runtime.kernel import Target, Variant

_u64, _int, _pointer = ctypes.c_uint64, ctypes.c_int, ctypes.c_void_p
_KINDS = {
    "allocate": ctypes.CFUNCTYPE(_u64, _u64),
    "release": ctypes.CFUNCTYPE(_int, _u64),
    "free_bytes": ctypes.CFUNCTYPE(_u64),
    "upload": ctypes.CFUNCTYPE(_int, _u64, _pointer, _u64),
    "download": ctypes.CFUNCTYPE(_int, _pointer, _u64, _u64),
    "fill": ctypes.CFUNCTYPE(_int, _u64, _u64, _int),
    "load": ctypes.CFUNCTYPE(_int, _pointer),
    "parameters": ctypes.CFUNCTYPE(_int, _int),
    "launch": ctypes.CFUNCTYPE(_int, _int, _int, _int, ctypes.POINTER(ctypes.c_int64), _int),
}


class _Handlers(ctypes.Structure):
    """As in C, in the same order."""

    _fields_ = list(_KINDS.items())


class FakeDriver:
    """Serves the fake driver of this process from an emulated device.

    Attributes:
        launches: kernels in the order in which they ran.
        failures: what was raised while the driver called.
    """

    def __init__(self, device: EmulatedDevice) -> None:
        self.device = device
        self.launches: list[Variant] = []
        self.failures: list[Exception] = []
        self._images: dict[bytes, Variant] = {}
        self._loaded: list[Variant] = []
        self._library = ctypes.CDLL("libcuda.so.1")
        self._handlers = _Handlers(
            *(kind(self._noting(getattr(self, f"_{name}"), name)) for name, kind in _KINDS.items())
        )
        self._library.fake_handlers(ctypes.byref(self._handlers))
        driver.compiled_cubin = self._compiled_cubin

    def alive(self) -> int:
        """Things of the driver that were made and not destroyed."""
        return int(self._library.fake_alive())

    def replays(self) -> int:
        """Launches of graphs."""
        return int(self._library.fake_replays())

    def _noting(self, handler: Callable[..., int | None], name: str) -> Callable[..., int]:
        """0 for None, and what says failure for an exception, which would be lost in C."""

        def call(*values: Any) -> int:
            try:
                return handler(*values) or 0
            except Exception as error:
                self.failures.append(error)
                return {"allocate": 0, "load": -1}.get(name, 1)

        return call

    def _compiled_cubin(self, variant: Variant, target: Target) -> Cubin:
        cubin = compiled_cubin(variant, target)
        self._images[cubin.image] = variant
        return cubin

    def _allocate(self, size: int) -> int:
        return self.device.allocate(size)

    def _release(self, address: int) -> None:
        self.device.release(address)

    def _free_bytes(self) -> int:
        return self.device.free_bytes()

    def _upload(self, address: int, data: int, size: int) -> None:
        self.device.upload(address, _host_bytes(data, size))

    def _download(self, data: int, address: int, size: int) -> None:
        self.device.download(_host_bytes(data, size), address)

    def _fill(self, address: int, size: int, value: int) -> None:
        self.device.fill(address, size, value)

    def _load(self, image: int) -> int:
        header = ctypes.string_at(image, 64)
        section_headers, size, count = *struct.unpack_from("<Q", header, 0x28), *struct.unpack_from("<HH", header, 0x3A)
        program_headers, psize, pcount = (
            *struct.unpack_from("<Q", header, 0x20),
            *struct.unpack_from("<HH", header, 0x36),
        )
        end = max(section_headers + size * count, program_headers + psize * pcount)
        self._loaded.append(self._images[ctypes.string_at(image, end)])
        return len(self._loaded) - 1

    def _parameters(self, kernel: int) -> int:
        return len(kernel_def(self._loaded[kernel].kernel).args)

    def _launch(self, kernel: int, blocks: int, threads: int, arguments: Any, count: int) -> None:
        variant = self._loaded[kernel]
        self.device.launch(self.device.load(variant), blocks, threads, arguments[:count])
        self.launches.append(variant)


def _host_bytes(address: int, size: int) -> Bytes:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
