"""Element-wise ops and chains of them: one ``elementwise.tape`` instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Array, Node, Value
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import LoweringRule
from cnnc.lower.spatial import SELU_ALPHA, SELU_GAMMA, channel_lanes
from cnnc.ops.activation import Activation
from cnnc.ops.blocking import is_per_channel, is_scalar
from cnnc.ops.elementwise_chain import CHAIN_OPS, ChainStep, ElementwiseChainAttrs, step_attributes
from cnnc.ops.normalization import BatchNormalizationAttrs
from cnnc.runtime.cpu import elementwise_tape
from cnnc.runtime.cpu.elementwise_tape import Operand, broadcast_strides
from cnnc.runtime.cpu.tape_encoding import MAX_INPUTS, MAX_OUTPUTS, TapeStep, encode_tape
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType, TensorType

_RANK = 6
_ACTIVATION_OPS = {"silu": "swish"}


def chain_steps(node: Node) -> tuple[ChainStep, ...]:
    """The node as steps over its inputs: a chain's own, or the single step that the node is."""
    if isinstance(node.attrs, ElementwiseChainAttrs):
        return node.attrs.steps
    operands = tuple(-1 if value is None else position for position, value in enumerate(node.inputs))
    return (ChainStep(node.op, operands, step_attributes(node.attrs)),)


@dataclass
class _Tape:
    """Tape steps under construction: ``values`` maps chain value indices to tape values or constants."""

    values: list[int | float]
    steps: list[TapeStep]
    inputs: int

    def add(self, op: str, operands: Sequence[int | float], alpha: float = 0.0, beta: float = 0.0) -> int:
        self.steps.append(TapeStep(op, tuple(operands), alpha, beta))
        return self.inputs + len(self.steps) - 1


def _translate(step: ChainStep, tape: _Tape) -> int:
    """Append one IR op to the tape; returns the value of its result."""
    read: list[int | float | None] = [None if index < 0 else tape.values[index] for index in step.operands]
    given = [operand for operand in read if operand is not None]
    attributes: Mapping[str, float | int | str] = dict(step.attributes)
    alpha, beta = float(attributes.get("alpha", 0.0)), float(attributes.get("beta", 0.0))
    match step.op:
        case "clip":
            return _translate_clip(read, tape)
        case "min" | "max":
            result = given[0] if len(given) > 1 else tape.add("copy", given)
            for operand in given[1:]:
                result = tape.add(step.op, [result, operand])
            return int(result)
        case "gelu":
            return tape.add("gelu_tanh" if attributes.get("approximate") == "tanh" else "gelu", given)
        case "selu":
            return tape.add("selu", given, alpha, float(attributes.get("gamma", SELU_GAMMA)))
        case "shrink":
            return tape.add("shrink", given, float(attributes.get("bias", 0.0)), float(attributes.get("lambd", 0.5)))
        case _:
            return tape.add(step.op, given, alpha, beta)


def _translate_clip(read: Sequence[int | float | None], tape: _Tape) -> int:
    x = read[0]
    low = read[1] if len(read) > 1 and read[1] is not None else -np.inf
    high = read[2] if len(read) > 2 and read[2] is not None else np.inf
    assert x is not None
    if isinstance(low, float) and isinstance(high, float):
        return tape.add("clip", [x], low, high)
    return tape.add("min", [tape.add("max", [x, low]), high])


@dataclass(frozen=True, slots=True)
class _Read:
    """An operand in memory: a value, or a packed constant; its strides over the iteration shape."""

    source: Value | Array
    operand: Operand
    kind: str


def _operand(value: Value, output: TensorType, builder: ProgramBuilder) -> _Read | float | str:
    """How the tape reads ``value``: a constant number, strided memory, or a sentence why it cannot."""
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
            else _Read(value, Operand(strides, size), kind)
        )
    channels = output.shape[1]
    assert isinstance(channels, int)
    if is_per_channel(value, output.rank, channels) and value.array is not None:
        lanes = channel_lanes(value.array, output).reshape(-1, *[1] * (output.rank - 2), output.layout.block)
        return _Read(lanes, Operand(broadcast_strides(lanes.shape, shape)), "f32")
    if is_scalar(value):  # of a blocked one only the first lane is the number
        return _Read(value, Operand((0,) * len(shape), size), kind)
    if value.type.layout == output.layout:
        strides = _strides(value.type.physical_shape, shape)
        if strides is not None:
            return _Read(value, Operand(_over_gaps(strides, builder.gap(value)), size), kind)
    return f"%{value.name} has another layout than the result"


def _over_gaps(strides: tuple[Dim, ...], gap: Dim) -> tuple[Dim, ...]:
    """Strides of a tensor whose images lie ``gap`` elements further apart than they need."""
    return strides if gap == 0 else (strides[0] + gap, *strides[1:])


def _strides(shape: Sequence[Dim], over: Sequence[Dim]) -> tuple[Dim, ...] | None:
    padded = (*[1] * (len(over) - len(shape)), *shape)
    if any(size not in (1, wanted) for size, wanted in zip(padded, over)):
        return None
    return broadcast_strides(shape, over)


def _reads(node: Node, builder: ProgramBuilder) -> list[_Read | float] | str:
    reads: list[_Read | float] = []
    for value in node.inputs:
        if value is None:
            reads.append(0.0)
            continue
        read = _operand(value, node.output.type, builder)
        if isinstance(read, str):
            return read
        reads.append(read)
    if sum(isinstance(read, _Read) for read in reads) > MAX_INPUTS:
        return f"it has more than {MAX_INPUTS} operands"
    return reads


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    output = node.output.type
    if output.dtype not in (DType.F32, DType.BOOL):
        return f"the result is {output.dtype.value}, not f32 or bool"
    reads = _reads(node, builder)
    if isinstance(reads, str):
        return reads
    if not any(isinstance(read, _Read) for read in reads):
        return "all operands are constants"
    if len(output.physical_shape) > _RANK:
        return f"it has {len(output.physical_shape)} dims, at most {_RANK} are supported"
    return None


def emit_tape(node: Node, builder: ProgramBuilder, reads: Sequence[_Read | float], steps: Sequence[ChainStep]) -> None:
    """One tape instruction that computes ``steps`` over ``reads`` into the node's output."""
    memory = [read for read in reads if isinstance(read, _Read)]
    numbers = {id(read): position for position, read in enumerate(memory)}
    values: list[int | float] = [numbers[id(read)] if isinstance(read, _Read) else read for read in reads]
    tape = _Tape(values, [], len(memory))
    for step in steps:
        tape.values.append(_translate(step, tape))
    result = tape.values[-1]
    assert isinstance(result, int)
    output = node.output.type
    words = encode_tape([read.kind for read in memory], tape.steps, [(result, output.dtype.value)])
    shape = output.physical_shape
    y = builder.result(node.output, gaps=True)
    target = Operand(_over_gaps(broadcast_strides(shape, shape), builder.gap(node.output)), output.dtype.size)
    sizes = elementwise_tape.arguments(shape, [read.operand for read in memory], [target], len(words))
    buffers: dict[str, BufferArg | int] = {f"x{index}": 0 for index in range(MAX_INPUTS)}
    buffers |= {f"y{index}": 0 for index in range(MAX_OUTPUTS)}
    for index, read in enumerate(memory):
        if isinstance(read.source, Value):
            buffers[f"x{index}"] = builder.argument(read.source, gaps=True)
        else:
            buffers[f"x{index}"] = BufferArg(builder.constant(read.source, f"{node.name}.lanes"))
    buffers["tape"] = BufferArg(builder.constant(words, f"{node.name}.tape"))
    buffers["y0"] = y
    builder.kernel_step(node, [builder.call(Variant.of("elementwise.tape"), buffers, sizes)])


def _emit(node: Node, builder: ProgramBuilder) -> None:
    reads = _reads(node, builder)
    assert not isinstance(reads, str)
    emit_tape(node, builder, reads, chain_steps(node))


# ---- scale_shift ----------------------------------------------------------------------------------------------------


def _channel_vector(vector: Array, output: TensorType) -> _Read:
    """``vector`` [C] laid out along the channels of ``output``."""
    if not output.layout.is_blocked:
        column = vector.astype(np.float32).reshape(-1, *[1] * (output.rank - 2))
        return _Read(column, Operand(broadcast_strides(column.shape, output.shape)), "f32")
    lanes = channel_lanes(vector, output).reshape(-1, *[1] * (output.rank - 2), output.layout.block)
    return _Read(lanes, Operand(broadcast_strides(lanes.shape, output.physical_shape)), "f32")


def _scale_shift_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if not node.input(1).is_constant or not node.input(2).is_constant:
        return "its scale or shift is not constant"
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    if node.input(0).type.layout != node.output.type.layout:
        return "input and output have different layouts"
    activation = getattr(node.attrs, "activation", Activation())
    return "a fused prelu has no step of its own" if activation.kind == "prelu" else None


def activation_steps(activation: Activation, operand: int) -> tuple[ChainStep, ...]:
    """A fused activation as a step; none for the identity. Clip has its bounds as operands: it is not one of these."""
    if activation.is_identity:
        return ()
    attributes: dict[str, float | int | str] = {"alpha": activation.alpha, "beta": activation.beta}
    op = _ACTIVATION_OPS.get(activation.kind, activation.kind)
    if activation.kind == "silu":
        attributes = {"alpha": 1.0}
    elif activation.kind == "gelu_tanh":
        op, attributes = "gelu", {"approximate": "tanh"}
    elif activation.kind == "selu":
        attributes = {"alpha": SELU_ALPHA, "gamma": SELU_GAMMA}
    return (ChainStep(op, (operand,), tuple(attributes.items())),)


def _emit_scale_shift(node: Node, builder: ProgramBuilder) -> None:
    output = node.output.type
    x = _operand(node.input(0), output, builder)
    assert isinstance(x, _Read)
    scale, shift = node.input(1).array, node.input(2).array
    assert scale is not None and shift is not None
    reads: list[_Read | float] = [x, _channel_vector(scale, output), _channel_vector(shift, output)]
    steps = [ChainStep("fma", (0, 1, 2))]
    activation = getattr(node.attrs, "activation", Activation())
    if activation.kind == "clip":
        reads += [activation.alpha, activation.beta]
        steps = [ChainStep("fma", (0, 1, 2)), ChainStep("clip", (5, 3, 4))]
    else:
        steps += activation_steps(activation, 3)
    emit_tape(node, builder, reads, steps)


# ---- batch_normalization --------------------------------------------------------------------------------------------


def _batch_norm_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    assert isinstance(node.attrs, BatchNormalizationAttrs)
    if node.attrs.training_mode:
        return "it computes the statistics of its input"
    if node.input(0).is_constant:
        return "its input is a constant"
    if node.output.type.rank > _RANK:
        return f"it has {node.output.type.rank} dims, at most {_RANK} are supported"
    if not all(node.input(position).is_constant for position in range(1, 5)):
        return "its scale, bias, mean or variance is not constant"
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    if not isinstance(node.output.type.shape[1], int):
        return "how many channels it has is only known at run time"
    if node.input(0).type.layout != node.output.type.layout:
        return "input and output have different layouts"
    return None


def _emit_batch_norm(node: Node, builder: ProgramBuilder) -> None:
    assert isinstance(node.attrs, BatchNormalizationAttrs)
    output = node.output.type
    x = _operand(node.input(0), output, builder)
    gamma, beta, mean, variance = (node.input(position).array for position in range(1, 5))
    assert isinstance(x, _Read) and gamma is not None and beta is not None and mean is not None and variance is not None
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + node.attrs.epsilon)
    shift = beta.astype(np.float64) - mean.astype(np.float64) * scale
    reads: list[_Read | float] = [x, _channel_vector(scale, output), _channel_vector(shift, output)]
    emit_tape(node, builder, reads, [ChainStep("fma", (0, 1, 2))])


_TAPE = LoweringRule("elementwise.tape", _refusal, _emit)

RULES = {
    **dict.fromkeys((*sorted(CHAIN_OPS), "elementwise_chain"), (_TAPE,)),
    "batch_normalization": (LoweringRule("elementwise.tape", _batch_norm_refusal, _emit_batch_norm),),
    "scale_shift": (LoweringRule("elementwise.tape", _scale_shift_refusal, _emit_scale_shift),),
}
