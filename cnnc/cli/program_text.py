"""A program as lines of text, for reading: buffers, then steps with their kernels and arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnnc.cli.console import number
from cnnc.dims import Dim
from cnnc.runtime.program import BufferArg, Call, HostStep, KernelStep, Program, Tensor


def program_lines(program: Program) -> Iterator[str]:
    """Lines that name every input, buffer, step, guarded choice and kernel call."""
    for port in program.inputs:
        yield f"input {port.name!r} b{port.buffer}: {port.dtype.value}{_dims(port.shape)}"
    for index, buffer in enumerate(program.buffers):
        yield f"buffer b{index} {buffer.kind} {buffer.bytes} bytes {buffer.name!r}"
    for index, step in enumerate(program.steps):
        yield from _host_lines(index, step) if isinstance(step, HostStep) else _kernel_lines(index, step)
    for port in program.outputs:
        yield f"output {port.name!r} b{port.buffer}: {port.dtype.value}{_dims(port.shape)}"


def _kernel_lines(index: int, step: KernelStep) -> Iterator[str]:
    macs = number(step.macs) if isinstance(step.macs, int) else str(step.macs)
    yield f"step {index} {step.op} {step.label!r}" + (f" macs {macs}" if step.macs else "")
    for choice in step.choices:
        if choice.when:
            yield "  when " + " and ".join(f"{condition} >= 0" for condition in choice.when)
        for call in choice.calls:
            yield f"  {call.variant}({', '.join(map(_argument, call.args))}) items {call.items}{_scratch(call)}"


def _host_lines(index: int, step: HostStep) -> Iterator[str]:
    operands = [f"b{operand.buffer}" if isinstance(operand, Tensor) else str(operand) for operand in step.inputs]
    results = [f"b{result.buffer}" for result in step.outputs if result is not None]
    yield f"step {index} host {step.function} {step.label!r}: {', '.join(results)} = ({', '.join(operands)})"


def _scratch(call: Call) -> str:
    return f" scratch {call.scratch_bytes}" if call.scratch_bytes else ""


def _argument(argument: BufferArg | Dim) -> str:
    if not isinstance(argument, BufferArg):
        return str(argument)
    return f"b{argument.buffer}" + (f"+{argument.offset}" if argument.offset else "")


def _dims(shape: Sequence[Dim]) -> str:
    return f"[{', '.join(map(str, shape))}]"
