"""How operands of element-wise ops lie in memory: numbers, vectors along the channels, broadcast tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Array, Node, Value
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.spatial import channel_lanes
from cnnc.ops.blocking import is_per_channel, is_scalar
from cnnc.runtime.cpu.elementwise_tape import Operand, broadcast_strides
from cnnc.runtime.cpu.tape_encoding import MAX_INPUTS
from cnnc.runtime.program import BufferArg
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class Read:
    """An operand in memory: a value, or a packed constant; its strides over the iteration shape."""

    source: Value | Array
    operand: Operand
    kind: str


def operand_of(value: Value, output: TensorType, builder: ProgramBuilder) -> Read | float | str:
    """How a kernel reads ``value``: a constant number, strided memory, or a sentence why it cannot."""
    if value.array is not None and value.array.size == 1 and value.type.dtype in (DType.F32, DType.BOOL):
        return float(value.array.reshape(-1)[0])
    if value.type.dtype not in (DType.F32, DType.BOOL):
        return f"%{value.name} is {value.type.dtype.value}, not f32 or bool"
    shape = output.physical_shape
    kind = value.type.dtype.value
    size = value.type.dtype.size
    if not output.layout.is_blocked:
        if value.type.layout.is_blocked:
            return f"%{value.name} is blocked, the result is not"
        strides = _strides(value.type.shape, shape)
        return (
            f"how %{value.name} broadcasts is only known at run time"
            if strides is None
            else Read(value, Operand(strides, size), kind)
        )
    channels = output.shape[1]
    assert isinstance(channels, int)
    if is_per_channel(value, output.rank, channels) and value.array is not None:
        lanes = channel_lanes(value.array, output).reshape(-1, *[1] * (output.rank - 2), output.layout.block)
        return Read(lanes, Operand(broadcast_strides(lanes.shape, shape)), "f32")
    if is_scalar(value):  # of a blocked one only the first lane is the number
        return Read(value, Operand((0,) * len(shape), size), kind)
    if value.type.layout == output.layout:
        strides = _strides(value.type.physical_shape, shape)
        if strides is not None:
            return Read(value, Operand(over_gaps(strides, builder.gap(value)), size), kind)
    return f"%{value.name} has another layout than the result"


def over_gaps(strides: tuple[Dim, ...], gap: Dim) -> tuple[Dim, ...]:
    """Strides of a tensor whose images lie ``gap`` elements further apart than they need."""
    return strides if gap == 0 else (strides[0] + gap, *strides[1:])


def _strides(shape: Sequence[Dim], over: Sequence[Dim]) -> tuple[Dim, ...] | None:
    padded = (*[1] * (len(over) - len(shape)), *shape)
    if any(size not in (1, wanted) for size, wanted in zip(padded, over)):
        return None
    return broadcast_strides(shape, over)


def reads_of(node: Node, builder: ProgramBuilder) -> list[Read | float] | str:
    """How a kernel reads each operand of the node, absent ones as 0.0; or a sentence why it cannot."""
    reads: list[Read | float] = []
    for value in node.inputs:
        if value is None:
            reads.append(0.0)
            continue
        read = operand_of(value, node.output.type, builder)
        if isinstance(read, str):
            return read
        reads.append(read)
    if sum(isinstance(read, Read) for read in reads) > MAX_INPUTS:
        return f"it has more than {MAX_INPUTS} operands"
    return reads


def channel_vector(vector: Array, output: TensorType) -> Read:
    """``vector`` [C] laid out along the channels of ``output``."""
    if not output.layout.is_blocked:
        column = vector.astype(np.float32).reshape(-1, *[1] * (output.rank - 2))
        return Read(column, Operand(broadcast_strides(column.shape, output.shape)), "f32")
    lanes = channel_lanes(vector, output).reshape(-1, *[1] * (output.rank - 2), output.layout.block)
    return Read(lanes, Operand(broadcast_strides(lanes.shape, output.physical_shape)), "f32")


def result_of(node: Node, builder: ProgramBuilder) -> Operand:
    """How the node's output lies, which has been placed."""
    output = node.output.type
    strides = broadcast_strides(output.physical_shape, output.physical_shape)
    return Operand(over_gaps(strides, builder.gap(node.output)), output.dtype.size)


def buffers_of(node: Node, builder: ProgramBuilder, memory: Sequence[Read]) -> dict[str, BufferArg | int]:
    """Buffer arguments x0, x1, ... of a kernel that takes up to ``MAX_INPUTS`` operands."""
    buffers: dict[str, BufferArg | int] = {f"x{index}": 0 for index in range(MAX_INPUTS)}
    for index, read in enumerate(memory):
        if isinstance(read.source, Value):
            buffers[f"x{index}"] = builder.argument(read.source, gaps=True)
        else:
            buffers[f"x{index}"] = BufferArg(builder.constant(read.source, f"{node.name}.lanes"))
    return buffers
