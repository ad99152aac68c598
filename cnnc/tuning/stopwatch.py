"""Times the kernels of one-layer programs, in turns, so that all of them see the same state of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from cnnc.dims import evaluate
from cnnc.lower import Lowered
from cnnc.runtime.call import RunSettings, StepTiming
from cnnc.runtime.cpu_limits import compile_jobs
from cnnc.runtime.executable import Executable
from cnnc.runtime.executor import Array, Executor
from cnnc.runtime.input_check import bind_shapes
from cnnc.runtime.jit.parallel_compile import compile_many
from cnnc.runtime.kernel import Target, Variant
from cnnc.runtime.program import Port, Program
from cnnc.sample_inputs import sample_arrays
from cnnc.types import TensorType

_SAMPLE_SECONDS = 2e-4
"""A sample repeats short programs for about so long: timers and caches are rough below."""
_FEWEST_ROUNDS, _MOST_ROUNDS = 7, 60
MODEL_SHARE = 10
"""A whole model is timed for so many times as long as a layer."""

Progress = Callable[[int, int], None]


class Stopwatch(Protocol):
    """What tuning measures with."""

    def compile(self, variants: Iterable[Variant]) -> None:
        """Make all kernels ready that will be timed."""

    def rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        """Seconds of a run: one list a round, with one time for each of the programs, which have equal inputs."""

    def model_rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        """The same for programs of a whole model, whose open sizes are taken as typical ones.

        Raises:
            InputError: those are no sizes for it.
        """


class KernelStopwatch:
    """Compiles kernels in parallel and times them on random inputs.

    Args:
        target: this CPU.
        threads: most threads of a run; None for all CPUs of the process.
        seconds: time to spend on one layer; a few rounds are run even if they take longer.
        progress: told how many kernels are compiled, of how many.
    """

    def __init__(
        self, target: Target, *, threads: int | None = None, seconds: float = 0.2, progress: Progress | None = None
    ) -> None:
        self._target = target
        self._settings = RunSettings(threads)
        self._seconds = seconds
        self._progress = progress

    def compile(self, variants: Iterable[Variant]) -> None:
        """See ``Stopwatch``."""
        compile_many(variants, compile_jobs(), self._target, self._progress)

    def rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        """See ``Stopwatch``. Another program begins each round."""
        executables = [with_flat_ports(program.executable) for program in programs]
        executors = [Executor(executable) for executable in executables]
        inputs = random_inputs(executables[0].program)
        return in_turns([partial(self._run, executor, inputs) for executor in executors], self._seconds)

    def model_rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        """See ``Stopwatch``. Times are of whole calls, and take ten times as long as those of a layer."""
        executors = [Executor(program.executable) for program in programs]
        ports = programs[0].program.inputs
        types = {port.name: TensorType(port.shape, port.dtype) for port in ports}
        inputs = list(sample_arrays(types, batch=1).values())
        sizes = bind_shapes(ports, inputs)
        runs = [partial(self._run_whole, executor, inputs, sizes) for executor in executors]
        return in_turns(runs, MODEL_SHARE * self._seconds)

    def _run_whole(self, executor: Executor, inputs: Sequence[Array], sizes: Mapping[str, int]) -> float:
        begin = time.perf_counter()
        executor.run(inputs, sizes, self._settings)
        return time.perf_counter() - begin

    def _run(self, executor: Executor, inputs: Sequence[Array]) -> float:
        """Seconds in kernels, without what Python does around them."""
        timings: list[StepTiming] = []
        executor.run(inputs, {}, self._settings, timings)
        return sum(timing.seconds for timing in timings)


def in_turns(runs: Sequence[Callable[[], float]], seconds: float) -> list[list[float]]:
    """Rounds of all runs for about ``seconds``, after two that do not count; each gives its time."""
    for run in runs:
        run()
    repeats = [max(1, min(50, round(_SAMPLE_SECONDS / max(run(), 1e-9)))) for run in runs]
    rounds: list[list[float]] = []
    stop = time.perf_counter() + seconds
    while len(rounds) < _FEWEST_ROUNDS or (len(rounds) < _MOST_ROUNDS and time.perf_counter() < stop):
        times = [0.0] * len(runs)
        for turn in range(len(runs)):
            index = (len(rounds) + turn) % len(runs)
            times[index] = sum(runs[index]() for _ in range(repeats[index])) / repeats[index]
        rounds.append(times)
    return rounds


def with_flat_ports(executable: Executable) -> Executable:
    """The same, but inputs and outputs are flat arrays of all physical elements: a layer's operands may be blocked."""
    program = executable.program

    def flat(port: Port) -> Port:
        size = evaluate(program.buffers[port.buffer].bytes, {})
        return replace(port, shape=(size // port.dtype.size,))

    inputs, outputs = (tuple(map(flat, ports)) for ports in (program.inputs, program.outputs))
    return replace(executable, program=replace(program, inputs=inputs, outputs=outputs))


def random_inputs(program: Program) -> list[Array]:
    """An array for each input port, all sizes being numbers."""
    types = {port.name: TensorType(port.shape, port.dtype) for port in program.inputs}
    return list(sample_arrays(types).values())
