"""Times the kernels of one-layer programs on a GPU, by the device's own clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from cnnc.lower import Lowered
from cnnc.runtime.call import StepTiming
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.executor import Array, DeviceExecutor
from cnnc.runtime.input_check import bind_shapes
from cnnc.runtime.kernel import Variant
from cnnc.sample_inputs import sample_arrays
from cnnc.tuning.stopwatch import MODEL_SHARE, Progress, in_turns, random_inputs, with_flat_ports
from cnnc.types import TensorType


class DeviceStopwatch:
    """A ``Stopwatch`` for a GPU.

    Args:
        device: what is measured.
        seconds: time to spend on one layer; a few rounds are run even if they take longer.
        progress: told how many kernels are compiled, of how many.
    """

    def __init__(self, device: Device, *, seconds: float = 0.2, progress: Progress | None = None) -> None:
        self._device = device
        self._seconds = seconds
        self._progress = progress

    def compile(self, variants: Iterable[Variant]) -> None:
        """See ``Stopwatch``."""
        wanted = list(dict.fromkeys(variants))
        for done, variant in enumerate(wanted, 1):
            self._device.load(variant)
            if self._progress is not None:
                self._progress(done, len(wanted))

    def rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        """See ``Stopwatch``. Times are of launches, without copies."""
        executables = [with_flat_ports(program.executable) for program in programs]
        executors = [DeviceExecutor(executable, self._device) for executable in executables]
        inputs = random_inputs(executables[0].program)
        return in_turns([partial(_kernel_seconds, executor, inputs) for executor in executors], self._seconds)

    def model_rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        """See ``Stopwatch``. Times are of whole calls, copies of inputs and outputs included."""
        executors = [DeviceExecutor(program.executable, self._device) for program in programs]
        ports = programs[0].program.inputs
        types = {port.name: TensorType(port.shape, port.dtype) for port in ports}
        inputs = list(sample_arrays(types, batch=1).values())
        sizes = bind_shapes(ports, inputs)
        runs = [partial(_call_seconds, executor, inputs, sizes) for executor in executors]
        return in_turns(runs, MODEL_SHARE * self._seconds)


def _kernel_seconds(executor: DeviceExecutor, inputs: Sequence[Array]) -> float:
    timings: list[StepTiming] = []
    executor.run(inputs, {}, timings=timings)
    return sum(timing.seconds for timing in timings)


def _call_seconds(executor: DeviceExecutor, inputs: Sequence[Array], sizes: Mapping[str, int]) -> float:
    begin = time.perf_counter()
    executor.run(inputs, sizes)
    return time.perf_counter() - begin
