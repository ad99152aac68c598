"""A GPU of this machine through NVIDIA's driver: one stream in the device's primary context. No Numba takes part."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnc.errors import InputError, OptionError
from cnnc.runtime.aligned_memory import Bytes, address_of
from cnnc.runtime.cpu_limits import compile_jobs
from cnnc.runtime.cuda.driver_calls import checked, driver, no_device
from cnnc.runtime.cuda.kernel_library import compiled_cubin, is_cached
from cnnc.runtime.cuda.pinned_staging import PinnedStaging
from cnnc.runtime.cuda.target import OLDEST, cuda_target
from cnnc.runtime.kernel import Variant

_ENTRY = b"kernel"


def open_device(number: int = 0) -> DriverDevice:
    """A GPU of this machine, with a stream of its own; the first one by default.

    Raises:
        OptionError: there is none that programs can run on: no driver, no GPU of that number, too old a GPU or driver,
            or the package cuda-bindings is not installed.
    """
    return DriverDevice(number)


class DriverDevice:
    """See ``Device``. Calls may come from any thread, one at a time.

    Memory, kernels and the stream are given back when the object is collected.
    """

    def __init__(self, number: int = 0) -> None:
        calls = self._calls = driver()
        if not 0 <= number < checked(calls.cuDeviceGetCount()):
            raise no_device()
        self._number = number
        self._device = checked(calls.cuDeviceGet(number))
        self._name: str = checked(calls.cuDeviceGetName(256, self._device)).split(b"\0")[0].decode()
        major, minor = (self.attribute(f"COMPUTE_CAPABILITY_{part}") for part in ("MAJOR", "MINOR"))
        self._architecture = f"sm_{major}{minor}"
        if 10 * major + minor < OLDEST:
            raise OptionError(
                f"{self._name} is too old: it is {self._architecture}, kernels need sm_{OLDEST} (Turing) or newer",
                where="device",
                hint="use the CPU",
            )
        self._context = checked(calls.cuDevicePrimaryCtxRetain(self._device))
        checked(calls.cuCtxSetCurrent(self._context))
        self._stream = checked(calls.cuStreamCreate(calls.CUstream_flags.CU_STREAM_NON_BLOCKING))
        self._staging = PinnedStaging(calls, self._stream)
        self._allocated: set[int] = set()
        self._kernels: dict[Variant, Any] = {}
        self._modules: list[Any] = []
        facts = (self._device, self._context, self._stream, self._staging)
        weakref.finalize(self, _release, calls, facts, self._allocated, self._modules)

    @property
    def name(self) -> str:
        return self._name

    @property
    def architecture(self) -> str:
        return self._architecture

    @property
    def number(self) -> int:
        return self._number

    @property
    def stream(self) -> int:
        return int(self._stream)

    def wait_for(self, stream: int) -> None:
        calls = self._enter()
        mark = _Destroyed(checked(calls.cuEventCreate(0)), calls.cuEventDestroy)
        checked(calls.cuEventRecord(mark.handle, stream))
        checked(calls.cuStreamWaitEvent(self._stream, mark.handle, 0))

    def attribute(self, name: str) -> int:
        """A number that the driver says of the device: ``CU_DEVICE_ATTRIBUTE_`` and ``name`` in its documentation."""
        which = getattr(self._calls.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(checked(self._calls.cuDeviceGetAttribute(which, self._device)))

    def allocate(self, size: int) -> int:
        calls = self._enter()
        status, address = calls.cuMemAlloc(size)
        if status == calls.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise InputError(
                f"{size / 2**30:.2f} GiB of {self.name} are asked for, {self.free_bytes() / 2**30:.2f} GiB are free",
                hint="end other programs that use the GPU, or feed a smaller batch",
            )
        checked((status,))
        self._allocated.add(int(address))
        return int(address)

    def release(self, address: int) -> None:
        self._allocated.remove(address)
        checked(self._enter().cuMemFree(address))

    def free_bytes(self) -> int:
        free, _ = checked(self._enter().cuMemGetInfo())
        return int(free)

    def upload(self, address: int, data: Bytes) -> None:
        self._enter()
        self._staging.upload(address, data)

    def download(self, data: Bytes, address: int) -> None:
        self._enter()
        self._staging.download(data, address)

    def fill(self, address: int, size: int, value: int) -> None:
        checked(self._enter().cuMemsetD8Async(address, value, size, self._stream))

    def prepare(self, variants: Sequence[Variant]) -> None:
        target = cuda_target(self.architecture)
        missing = [variant for variant in variants if variant not in self._kernels and not is_cached(variant, target)]
        if missing:
            from cnnc.runtime.jit.parallel_compile import compile_many

            compile_many(missing, compile_jobs(), target)

    def load(self, variant: Variant) -> Any:
        """A function of the driver.

        Raises:
            OptionError: it is not compiled yet, and what compiles it is not installed; or the driver is too old.
        """
        if variant not in self._kernels:
            calls = self._enter()
            cubin = compiled_cubin(variant, cuda_target(self.architecture))
            module = checked(calls.cuModuleLoadData(cubin.image))
            self._modules.append(module)
            self._kernels[variant] = checked(calls.cuModuleGetFunction(module, _ENTRY))
        return self._kernels[variant]

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: Sequence[int]) -> None:
        if blocks == 0:  # which the driver refuses
            return
        values = np.array(arguments, np.int64)
        places = address_of(values) + 8 * np.arange(len(values), dtype=np.int64)
        checked(
            self._enter().cuLaunchKernel(kernel, blocks, 1, 1, threads, 1, 1, 0, self._stream, address_of(places), 0)
        )

    def record(self, launch: Callable[[], None]) -> Any | None:
        """A CUDA graph of what ``launch`` launches; None if the driver refuses to make one."""
        calls = self._enter()
        mode = calls.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        if calls.cuStreamBeginCapture(self._stream, mode)[0] != calls.CUresult.CUDA_SUCCESS:
            return None
        try:
            launch()
        finally:
            status, graph = calls.cuStreamEndCapture(self._stream)
        if status != calls.CUresult.CUDA_SUCCESS:
            return None
        status, executable = calls.cuGraphInstantiate(graph, 0)
        calls.cuGraphDestroy(graph)
        return _Destroyed(executable, calls.cuGraphExecDestroy) if status == calls.CUresult.CUDA_SUCCESS else None

    def replay(self, record: Any) -> None:
        checked(self._enter().cuGraphLaunch(record.handle, self._stream))

    def mark(self) -> Any:
        """An event of the driver, which has passed when everything before it is done."""
        calls = self._enter()
        mark = _Destroyed(checked(calls.cuEventCreate(0)), calls.cuEventDestroy)
        checked(calls.cuEventRecord(mark.handle, self._stream))
        return mark

    def seconds_between(self, first: Any, last: Any) -> float:
        calls = self._enter()
        checked(calls.cuEventSynchronize(last.handle))
        return float(checked(calls.cuEventElapsedTime(first.handle, last.handle))) / 1e3

    def synchronize(self) -> None:
        checked(self._enter().cuStreamSynchronize(self._stream))

    def _enter(self) -> Any:
        """The driver's calls, with this device's context current in this thread."""
        checked(self._calls.cuCtxSetCurrent(self._context))
        return self._calls


class _Destroyed:
    """A handle of the driver that is destroyed with this object."""

    def __init__(self, handle: Any, destroy: Callable[[Any], Any]) -> None:
        self.handle = handle
        weakref.finalize(self, destroy, handle)


def _release(calls: Any, facts: tuple[Any, ...], allocated: set[int], modules: list[Any]) -> None:
    """Give everything back. Errors are ignored: the driver may be gone by the end of a process."""
    device, context, stream, staging = facts
    calls.cuCtxSetCurrent(context)
    calls.cuStreamSynchronize(stream)
    for address in allocated:
        calls.cuMemFree(address)
    staging.close()
    for module in modules:
        calls.cuModuleUnload(module)
    calls.cuStreamDestroy(stream)
    calls.cuDevicePrimaryCtxRelease(device)
