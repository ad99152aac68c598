"""Runs a program on a GPU: the same plans as on the CPU, with the arena, constants, inputs and outputs on the device.

Constants are uploaded once. A call uploads its inputs, launches the kernels of each segment in order and downloads the
outputs. A host step downloads what it reads, runs its NumPy function and uploads what it returns.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np

from cnnc.dims import evaluate
from cnnc.errors import ArtifactError, InputError, InternalError, OptionError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.aligned_memory import Bytes, bytes_of
from cnnc.runtime.arena_layout import Layout, best_fit
from cnnc.runtime.call import RunSettings, StepTiming
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.device_array import DeviceArray
from cnnc.runtime.cuda.device_memory import DeviceMemory
from cnnc.runtime.cuda.recorded_launches import RecordedLaunches
from cnnc.runtime.cuda.target import capability, cuda_target, is_cuda
from cnnc.runtime.executable import Executable
from cnnc.runtime.host import function as host_function
from cnnc.runtime.host_call import Deferred, bind_symbols, host_results, sizes_array
from cnnc.runtime.plan import Address, HostCall, HostSizes, HostTensor, Instruction, Plan
from cnnc.runtime.plan_checker import check_plan
from cnnc.runtime.planner import Planner
from cnnc.runtime.program import KernelStep, Port, Program, Tensor
from cnnc.runtime.table_checker import check_tables

T = TypeVar("T")
Array = np.ndarray[Any, Any]
Launched = Callable[[int, Instruction], None]
"""Told of every launch: the step's index in the program and the instruction."""


class DeviceExecutor:
    """Runs one executable on one device. Calls from several threads take turns.

    Args:
        poison: fill arenas with 0xFF bytes (NaN as floats) before use, to expose reads of unwritten memory.
        launched: called after every launch.

    Raises:
        OptionError: the program is for the CPU, or for a newer device than this.
    """

    def __init__(
        self,
        executable: Executable,
        device: Device,
        *,
        layout: Layout = best_fit,
        poison: bool = False,
        launched: Launched | None = None,
    ) -> None:
        _check_target(executable, device)
        self.program = executable.program
        self.device = device
        self.memory = DeviceMemory(device)
        self.recorded = RecordedLaunches(device)
        self.poison = poison
        self.launched = launched
        self._executable = executable
        self._planner = self._blaming_file(lambda: Planner(executable.program, layout))
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._is_loaded = False
        self._kernels: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self.constant_addresses: dict[int, int] = {}
        weakref.finalize(self, _give_back, device, self.memory, self.constant_addresses)

    def load_kernels(self) -> None:
        """Have every kernel and constant on the device, so that no later call waits for a compiler or a copy."""
        if self._is_loaded:
            return
        variants = tuple(dict.fromkeys(self.program.variants()))
        self.device.prepare(variants)
        for variant in variants:
            self._kernels[variant] = self.device.load(variant)
        self._upload_constants()
        self._is_loaded = True

    def _upload_constants(self) -> None:
        needed = sum(constant.size for constant in self._executable.constants)
        free = self.device.free_bytes()
        if needed > free:
            raise InputError(
                f"the weights need {needed / 2**30:.2f} GiB, {free / 2**30:.2f} GiB of {self.device.name} are free",
                hint="free memory of the device, or run on the CPU",
            )
        for index, buffer in enumerate(self.program.buffers):
            if buffer.kind == "constant" and index not in self.constant_addresses:
                data = self._executable.constants[buffer.constant]
                if data.size != buffer.bytes:
                    raise InternalError(f"constant {buffer.name!r} does not have {buffer.bytes} bytes")
                address = self.device.allocate(max(data.size, 1))
                self.device.upload(address, data)
                self.constant_addresses[index] = address

    def run(
        self,
        inputs: Sequence[Array | DeviceArray],
        bindings: Mapping[str, int],
        settings: RunSettings | None = None,
        timings: list[StepTiming] | None = None,
    ) -> list[Array]:
        """Run the program once; see ``Executor.run``. Inputs may lie on the device."""
        with self._lock:
            self.load_kernels()
            return _DeviceCall(self, dict(bindings), timings).run(inputs, _DeviceCall.downloaded_outputs)

    def run_on_device(self, inputs: Sequence[Array | DeviceArray], bindings: Mapping[str, int]) -> list[DeviceArray]:
        """The same; the outputs stay on the device, where they are complete when this returns."""
        with self._lock:
            self.load_kernels()
            return _DeviceCall(self, dict(bindings), None).run(inputs, _DeviceCall.outputs_on_device)

    def kernel(self, instruction: Instruction) -> Any:
        """The loaded kernel of an instruction."""
        return self._kernels[instruction.variant]

    def constant(self, buffer: int) -> Bytes:
        """Content of a constant buffer, on the host."""
        return self._executable.constants[self.program.buffers[buffer].constant]

    def plan(self, stage: int, bindings: Mapping[str, int]) -> Plan:
        """The checked plan of a stage for these sizes."""
        key = (stage, *sorted(bindings.items()))
        if key not in self._plans:
            self._plans[key] = self._blaming_file(lambda: self._make_plan(stage, bindings))
        return self._plans[key]

    def _make_plan(self, stage: int, bindings: Mapping[str, int]) -> Plan:
        plan = self._planner.plan(bindings, stage)
        check_plan(self.program, plan, kernel_def)
        if self._executable.origin:
            check_tables(self.program, plan, self._executable.constants, kernel_def)
        return plan

    def _blaming_file(self, make: Callable[[], T]) -> T:
        if not self._executable.origin:
            return make()
        try:
            return make()
        except InternalError as error:
            raise ArtifactError(
                f"the program breaks a rule: {error}",
                where=self._executable.origin,
                hint="compile the model again",
            ) from error


def _give_back(device: Device, memory: DeviceMemory, constants: dict[int, int]) -> None:
    memory.close()
    for address in constants.values():
        device.release(address)


def _check_target(executable: Executable, device: Device) -> None:
    target = executable.target
    if target is None or not is_cuda(target):
        raise OptionError("the program is compiled for the CPU", where="device", hint="compile it with target='cuda'")
    if capability(target) > capability(cuda_target(device.architecture)):
        raise OptionError(
            f"the program is compiled for {target.cpu}, {device.name} is {device.architecture}",
            where="device",
            hint=f"compile it with target='cuda:{device.architecture}'",
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """A plan's arena, and where its buffers lie on the device."""

    arena: int
    places: Mapping[int, int]


class _DeviceCall:
    """Memory and symbols of one call, until it ends."""

    def __init__(self, executor: DeviceExecutor, bindings: dict[str, int], timings: list[StepTiming] | None) -> None:
        self._executor = executor
        self._device = executor.device
        self._memory = executor.memory
        self._program: Program = executor.program
        self._bindings = bindings
        self._timings = timings
        self._stages: list[_Stage] = []
        # Addresses of inputs and outputs by buffer, and which of them are to be given back.
        self._ports: dict[int, int] = {}
        self._leases: set[int] = set()

    def run(self, inputs: Sequence[Array | DeviceArray], outputs: Callable[[_DeviceCall], list[T]]) -> list[T]:
        """Everything; ``outputs`` is called in the end."""
        try:
            for port, array in zip(self._program.inputs, inputs, strict=True):
                self._take_input(port.buffer, array)
            deferred: Deferred = []
            while True:
                plan = self._executor.plan(len(self._stages), self._bindings)
                self._allocate(plan)
                for tensor, array in deferred:
                    self._upload(tensor.buffer, 0, array)
                deferred = self._execute(plan)
                if plan.is_last:
                    return outputs(self)
                bind_symbols(self._program, plan.stop - 1, deferred, self._bindings)
        finally:
            for address in (*self._leases, *(stage.arena for stage in self._stages)):
                self._memory.give(address)

    def _take_input(self, buffer: int, array: Array | DeviceArray) -> None:
        if isinstance(array, DeviceArray):
            self._ports[buffer] = array.address
            return
        data = bytes_of(np.ascontiguousarray(array))
        self._lease(buffer, data.size)
        self._device.upload(self._ports[buffer], data)

    def _lease(self, buffer: int, size: int) -> None:
        """Memory for an input or output."""
        self._ports[buffer] = self._memory.take(max(size, 1))
        self._leases.add(self._ports[buffer])

    def _allocate(self, plan: Plan) -> None:
        size = max(plan.arena_bytes, 1)
        sizes = [size, *(max(plan.buffer_bytes[buffer], 1) for buffer in plan.outputs)]
        if not self._memory.keeps(sizes) and sum(sizes) > (free := self._memory.free_bytes()):
            bound = ", ".join(f"{name}={value}" for name, value in sorted(self._bindings.items())) or "these inputs"
            raise InputError(
                f"running with {bound} needs {sum(sizes) / 2**30:.2f} GiB, "
                f"{free / 2**30:.2f} GiB of {self._device.name} are free",
                hint="feed a smaller batch or smaller images",
            )
        arena = self._memory.take(size)
        self._stages.append(_Stage(arena, {place.buffer: arena + place.offset for place in plan.places}))
        if self._executor.poison:
            self._device.fill(arena, size, 0xFF)
        for buffer in plan.outputs:
            self._lease(buffer, plan.buffer_bytes[buffer])

    def _execute(self, plan: Plan) -> Deferred:
        deferred: Deferred = []
        for action in plan.actions:
            if isinstance(action, HostCall):
                deferred = self._run_host(action)
                continue
            self._run_segment(action.instructions)
        return deferred

    def _run_segment(self, instructions: Sequence[Instruction]) -> None:
        """Launch the kernels between two host steps, as one where nobody wants to know of each."""
        if self._timings is not None or self._executor.launched is not None:
            for instruction in instructions:
                self._observed_launch(instruction)
            return
        key = len(self._stages), instructions[0].step, *sorted(self._bindings.items())
        places = *self._ports.values(), *(stage.arena for stage in self._stages)

        def launch() -> None:
            for instruction in instructions:
                self._launch(instruction)

        self._executor.recorded.run(key, places, launch)

    def _observed_launch(self, instruction: Instruction) -> None:
        first = self._device.mark() if self._timings is not None else None
        self._launch(instruction)
        if self._executor.launched is not None:
            self._executor.launched(instruction.step, instruction)
        if self._timings is not None:
            seconds = self._device.seconds_between(first, self._device.mark())
            self._note(instruction.step, (str(instruction.variant),), seconds)

    def _launch(self, instruction: Instruction) -> None:
        arguments = [
            self._address(arg.buffer) + arg.offset if isinstance(arg, Address) else arg for arg in instruction.args
        ]
        threads = kernel_def(instruction.variant.kernel).threads(instruction.variant.options)
        self._device.launch(self._executor.kernel(instruction), instruction.items, threads, arguments)

    def _note(self, step: int, kernels: tuple[str, ...], seconds: float) -> None:
        """Add to the timing of a step, whose launches follow each other."""
        assert self._timings is not None
        record = self._program.steps[step]
        macs = evaluate(record.macs, self._bindings) if isinstance(record, KernelStep) else 0
        if self._timings and self._timings[-1].step == step:
            last = self._timings.pop()
            kernels, seconds = (*last.kernels, *kernels), last.seconds + seconds
        self._timings.append(StepTiming(step, record.op, record.label, kernels, macs, seconds))

    def _run_host(self, call: HostCall) -> Deferred:
        start = time.perf_counter()
        operands = [self._operand(operand) for operand in call.inputs]
        deferred: Deferred = []
        for output, array in host_results(self._program, call, host_function(call.function), operands):
            if isinstance(output, Tensor):
                deferred.append((output, array))
            else:
                self._upload(output.buffer, output.offset, array)
        if self._timings is not None:
            self._note(call.step, (), time.perf_counter() - start)
        return deferred

    def _operand(self, operand: HostTensor | HostSizes | None) -> Array | None:
        if operand is None:
            return None
        if isinstance(operand, HostSizes):
            return sizes_array(operand)
        return self._download(operand.buffer, operand.offset, operand.shape, operand.dtype.numpy)

    def _address(self, buffer: int) -> int:
        """Where a buffer that is placed by now lies on the device."""
        for known in (self._ports, self._executor.constant_addresses, *(stage.places for stage in self._stages)):
            if buffer in known:
                return known[buffer]
        raise InternalError(f"buffer {buffer} {self._program.buffers[buffer].name!r} has no memory yet")

    def _download(self, buffer: int, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if self._program.buffers[buffer].kind == "constant":
            data = self._executor.constant(buffer)[offset : offset + dtype.itemsize * prod(shape)]
            return data.view(dtype).reshape(shape)
        array = np.empty(shape, dtype)
        if array.size:
            self._device.download(bytes_of(array), self._address(buffer) + offset)
        return array

    def _upload(self, buffer: int, offset: int, array: Array) -> None:
        if array.size:
            self._device.upload(self._address(buffer) + offset, bytes_of(np.ascontiguousarray(array)))

    def downloaded_outputs(self) -> list[Array]:
        """Fresh arrays of the host, one for each output."""
        self._device.synchronize()
        return [self._download(port.buffer, 0, self._shape(port), port.dtype.numpy) for port in self._program.outputs]

    def outputs_on_device(self) -> list[DeviceArray]:
        """Arrays that keep their memory from being taken again until they are collected."""
        found = []
        for port in self._program.outputs:
            shape, dtype = self._shape(port), port.dtype.numpy
            address = self._ports.get(port.buffer, 0)
            if address in self._leases and self._program.buffers[port.buffer].kind == "output":
                self._leases.remove(address)
            else:  # an input, a constant, or an output that is given twice
                data = bytes_of(np.ascontiguousarray(self._download(port.buffer, 0, shape, dtype)))
                address = self._memory.take(max(data.size, 1))
                self._device.upload(address, data)
            array = DeviceArray(self._device, address, shape, dtype, self._memory)
            weakref.finalize(array, self._memory.give, address)
            found.append(array)
        self._device.synchronize()
        return found

    def _shape(self, port: Port) -> tuple[int, ...]:
        return tuple(evaluate(dim, self._bindings) for dim in port.shape)
