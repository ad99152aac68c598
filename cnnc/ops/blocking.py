"""Which ops can work on blocked tensors, and which operands must then be blocked alike.

The layout pass asks ``blocked_form`` of every node; kernel selection keeps the same promises. A form names the *data*
operands: those that carry the blocked layout. Other operands (weights, per-channel vectors, scalars) stay plain and are
packed when the program is made.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cnnc.ir import Node, Value
from cnnc.ops import OPS
from cnnc.ops.byte_table import ByteTable, byte_table
from cnnc.ops.conv import GATE
from cnnc.ops.elementwise_chain import CHAIN_OPS
from cnnc.ops.quantized import QuantizedConvAttrs
from cnnc.ops.quantized_layer import QuantizedLayer, quantized_conv
from cnnc.ops.quantized_operands import BYTES, average_scales, byte_elementwise
from cnnc.ops.resize import ResizeAttrs
from cnnc.runtime.cpu.conv_packing import QUAD
from cnnc.types import DType


class Form(enum.Enum):
    """How a node relates to the blocked layout."""

    PLAIN = "plain"
    """It needs plain operands."""
    FOLLOW = "follow"
    """It takes whatever layout its data operands have; all must share it."""
    BLOCKED = "blocked"
    """It wants blocked data and gives blocked results."""
    CHANNELWISE = "channelwise"
    """It wants blocked data and gives results in the very layout of its data."""
    FIRST = "first"
    """It gives blocked results, and reads its data blocked or plain."""
    REGROUP = "regroup"
    """It moves channels: from a blocked tensor of any pieces to blocked tensors without."""
    CONCAT = "concat"
    """Channel concat: blocked pieces stand one behind the other, each padded to the block."""


@dataclass(frozen=True, slots=True)
class BlockedForm:
    """A node's form, the positions of its data operands, and why where the form is PLAIN."""

    form: Form
    data: tuple[int, ...] = ()
    reason: str = ""


BLOCKED_DTYPES = (DType.F32, *BYTES)
"""Element types of blocked tensors. Bytes are blocked by as many channels as float32."""

FIRST_CHANNELS = 8
"""Convolutions with at most this many input channels read plain images: a block of lanes would be mostly padding."""


def blocked_form(node: Node) -> BlockedForm:
    """How ``node`` relates to the blocked layout; decided by op, attributes and types alone."""
    first = node.optional(0)
    if first is None or not node.outputs:
        return _plain("it has no data operand")
    channels = node.output.type.shape[1] if node.output.type.rank >= 3 else None
    if node.output.type.dtype not in BLOCKED_DTYPES or not isinstance(channels, int) or node.output.type.rank > 5:
        return _plain("only tensors of float32 or bytes, with a spatial axis and a known channel count, are blocked")
    if any(value is not None and value.type.dtype in BYTES for value in (first, node.output)):
        return _of_bytes(node)
    if node.op == "conv":
        return _conv(node)
    if node.op == "conv_transpose":
        constant = _constant(node, 1) and _constant(node, 2)
        return BlockedForm(Form.BLOCKED, (0,)) if constant else _plain("its weights are not constant")
    if node.op in ("global_average_pool", "global_max_pool"):
        return BlockedForm(Form.FOLLOW, (0,))
    if node.op == "lrn":
        return BlockedForm(Form.FOLLOW, (0,)) if not first.type.layout.pieces else _plain("its channels are in pieces")
    if node.op == "instance_normalization" and _constant(node, 1) and _constant(node, 2):
        return BlockedForm(Form.FOLLOW, (0,))
    if node.op in ("max_pool", "average_pool"):
        return _pool(node)
    if node.op == "scale_shift" or (node.op in CHAIN_OPS and len(node.inputs) == 1):
        return BlockedForm(Form.FOLLOW, (0,))
    if node.op in CHAIN_OPS or node.op == "elementwise_chain":
        return _broadcasting(node, channels)
    if node.op == "resize":
        return _resize(node)
    if node.op == "pad":
        return _pad(node)
    if node.op == "concat":
        return _concat(node)
    if node.op == "channel_shuffle":
        return BlockedForm(Form.REGROUP, (0,))
    if node.op in ("split", "slice"):
        return _cut(node)
    if node.op == "gather":
        return _gather(node)
    if OPS[node.op].follows_layout:
        return _broadcasting(node, channels)
    return _plain("its kernel reads plain tensors")


def _plain(reason: str) -> BlockedForm:
    return BlockedForm(Form.PLAIN, (), reason)


def _pool(node: Node) -> BlockedForm:
    return _plain("it has indices as a second output") if len(node.outputs) > 1 else BlockedForm(Form.FOLLOW, (0,))


def _of_bytes(node: Node) -> BlockedForm:
    table = byte_table(node)
    if isinstance(table, ByteTable):
        return BlockedForm(Form.FOLLOW, (table.position,))
    if node.op in _BYTE_OPS:
        return _BYTE_OPS[node.op](node)
    return _plain("its kernels for bytes read plain tensors")


def _quantized_conv(node: Node) -> BlockedForm:
    layer = quantized_conv(node)
    if isinstance(layer, str):
        return _plain(layer)
    return BlockedForm(Form.BLOCKED if plain_bytes_refusal(node, layer) else Form.FIRST, (0,))


def plain_bytes_refusal(node: Node, layer: QuantizedLayer) -> str | None:
    """Why quads of neighbouring columns of a plain image are not the way to compute a q_linear_conv."""
    assert isinstance(node.attrs, QuantizedConvAttrs)
    channels, shape = node.input(0).type.shape[1], node.input(3).type.shape
    if node.attrs.group > 1 or not isinstance(channels, int) or channels > FIRST_CHANNELS:
        return f"it has groups, or more than {FIRST_CHANNELS} input channels"
    if len(shape) != 4 or node.attrs.dilations[1:] not in ((), (1,)):
        return "its window has a depth, or columns that are no neighbours"
    if layer.weights.dtype != np.int8:
        return "its weights without their zero point do not fit int8"
    columns = layer.weights.shape[3]
    steps, steps_of_blocks = channels * -(-columns // QUAD), columns * -(-channels // QUAD)
    return "quads of channels waste less" if steps > _PLAIN_STEPS * steps_of_blocks else None


_PLAIN_STEPS = 1.25
"""Steps of a plain image that are worth one of blocks, to which it would have to be converted."""


def _byte_elementwise(node: Node) -> BlockedForm:
    found = byte_elementwise(node)
    if isinstance(found, str):
        return _plain(found)
    if found.spread == "any":
        return _plain("an operand broadcasts along another axis than the spatial ones")
    return BlockedForm(Form.FOLLOW, found.data)


def _byte_average(node: Node) -> BlockedForm:
    scales = average_scales(node)
    return _plain(scales) if isinstance(scales, str) else BlockedForm(Form.FOLLOW, (0,))


def _constant(node: Node, position: int) -> bool:
    value = node.optional(position)
    return value is None or value.is_constant


def _conv(node: Node) -> BlockedForm:
    if not all(_constant(node, position) for position in (1, 2, 4, 5, 6)):
        return _plain("its weights are not constant")
    residual = node.optional(3)
    if residual is not None and residual.type.shape != node.output.type.shape:
        return _plain("its residual is broadcast")
    data = (0, *(position for position in (3, GATE) if node.optional(position) is not None))
    group = getattr(node.attrs, "group", 1)
    channels = node.input(0).type.shape[1]
    if group == 1 and isinstance(channels, int) and channels <= FIRST_CHANNELS:
        return BlockedForm(Form.FIRST, data)
    if group == channels == node.output.type.shape[1]:
        return BlockedForm(Form.CHANNELWISE, data)
    return BlockedForm(Form.BLOCKED, data)


def _broadcasting(node: Node, channels: int) -> BlockedForm:
    shape = node.output.type.shape
    data = []
    for position, value in enumerate(node.inputs):
        if value is None or is_scalar(value) or is_per_channel(value, len(shape), channels):
            continue
        gate = (shape[0], channels, *[1] * (len(shape) - 2))
        if value.type.shape != shape and value.type.shape != gate:
            return _plain(f"%{value.name} broadcasts along another axis than the spatial ones")
        if value.type.dtype is not DType.F32:
            return _plain(f"%{value.name} is {value.type.dtype.value}, only float32 is blocked")
        data.append(position)
    if not data:
        return _plain("no operand has the output's shape")
    full = [position for position in data if node.input(position).type.shape == shape]
    return BlockedForm(Form.FOLLOW, tuple(full + [position for position in data if position not in full]))


def is_scalar(value: Value) -> bool:
    """Whether the value has one element."""
    return all(dim == 1 for dim in value.type.shape)


def is_per_channel(value: Value, rank: int, channels: int) -> bool:
    """Whether a constant has one element a channel of a tensor of ``rank``: [C,1,1] or [1,C,1,1]."""
    if not value.is_constant or value.type.rank > rank:
        return False
    shape = (*[1] * (rank - value.type.rank), *value.type.shape)
    return shape[1] == channels and all(size == 1 for axis, size in enumerate(shape) if axis != 1)


def _resize(node: Node) -> BlockedForm:
    attrs = node.attrs
    assert isinstance(attrs, ResizeAttrs)
    if node.input(0).type.shape[:2] != node.output.type.shape[:2]:
        return _plain("it resizes batch or channels")
    if attrs.mode == "cubic" or attrs.antialias or attrs.keep_aspect_ratio_policy != "stretch":
        return _plain("cubic, antialiased and aspect-keeping resizing run on the host")
    scales = node.optional(2)
    known = scales is None or scales.fact.array is not None
    if not known or attrs.coordinate_transformation_mode == "tf_crop_and_resize":
        return _plain("its scales are only known at run time, or it crops")
    return BlockedForm(Form.FOLLOW, (0,))


def _byte_resize(node: Node) -> BlockedForm:
    return _resize(node) if getattr(node.attrs, "mode", "") == "nearest" else _plain("bytes are not interpolated")


def _pad(node: Node) -> BlockedForm:
    operands = [node.optional(position) for position in (1, 2, 3)]
    known = [value.fact.array for value in operands if value is not None]
    if getattr(node.attrs, "mode", "constant") != "constant" or any(array is None for array in known):
        return _plain("its padding is not constant, or only known at run time")
    if known[0] is None or known[0].min(initial=0) < 0:
        return _plain("it cuts something off")
    if node.input(0).type.shape[:2] != node.output.type.shape[:2]:
        return _plain("it pads batch or channels")
    return BlockedForm(Form.FOLLOW, (0,))


def _concat(node: Node) -> BlockedForm:
    if getattr(node.attrs, "axis", 0) % node.output.type.rank != 1:
        return _plain("it joins another axis than the channels")
    return BlockedForm(Form.CONCAT, tuple(range(len(node.inputs))))


def _cut(node: Node) -> BlockedForm:
    if node.op == "split":
        channels_only = getattr(node.attrs, "axis", 0) % node.output.type.rank == 1
    else:
        channels_only = sliced_channels(node) is not None
    if not channels_only or not all(isinstance(value.type.shape[1], int) for value in node.outputs):
        return _plain("it cuts another axis than the channels, or where is only known at run time")
    return BlockedForm(Form.REGROUP, (0,))


def _gather(node: Node) -> BlockedForm:
    if gathered_channels(node) is None:
        return _plain("it gathers along another axis than the channels, or what is only known at run time")
    return BlockedForm(Form.REGROUP, (0,))


_BYTE_OPS: Mapping[str, Callable[[Node], BlockedForm]] = {
    "q_linear_conv": _quantized_conv,
    "quantize_linear": _byte_elementwise,
    "dequantize_linear": _byte_elementwise,
    "q_linear_add": _byte_elementwise,
    "q_linear_mul": _byte_elementwise,
    "q_linear_average_pool": _byte_average,
    "q_linear_global_average_pool": _byte_average,
    "max_pool": _pool,
    "concat": _concat,
    "channel_shuffle": lambda node: BlockedForm(Form.REGROUP, (0,)),
    "gather": _gather,
    "pad": _pad,
    "resize": _byte_resize,
    "split": _cut,
    "slice": _cut,
}
"""Ops on bytes that work on blocked tensors, beside those of ``byte_table``."""


def gathered_channels(node: Node) -> list[int] | None:
    """Channels that a gather along the channel axis picks, by known numbers of one axis; else None."""
    indices, type = node.input(1).fact.array, node.input(0).type
    channels = type.shape[1] if type.rank > 1 else None
    if getattr(node.attrs, "axis", 0) % max(type.rank, 1) != 1 or indices is None or indices.ndim != 1:
        return None
    return [int(index) % channels for index in indices] if isinstance(channels, int) else None


def sliced_channels(node: Node) -> list[int] | None:
    """Channels that a slice keeps, where it cuts the channel axis only, forwards, by known numbers; else None."""
    operands = [node.optional(position) for position in range(1, 5)]
    known = [None if value is None else value.fact.array for value in operands]
    if any(value is not None and array is None for value, array in zip(operands, known)):
        return None
    starts, ends, axes, steps = ([] if array is None else array.reshape(-1).tolist() for array in known)
    rank, channels = node.input(0).type.rank, node.input(0).type.shape[1]
    axes = axes or list(range(len(starts)))
    if [axis % rank for axis in axes] != [1] or not isinstance(channels, int):
        return None
    cut = slice(int(starts[0]), int(ends[0]), int(steps[0]) if steps else 1)
    return list(range(channels))[cut] if cut.step > 0 else None


def channel_runs(node: Node) -> list[tuple[int, int]] | None:
    """(first channel, count) of each output of a split or slice of channels; None where they are not runs."""
    if node.op == "split":
        counts = [value.type.shape[1] for value in node.outputs]
        known = [count for count in counts if isinstance(count, int)]
        return [(sum(known[:index]), count) for index, count in enumerate(known)] if known == counts else None
    channels = sliced_channels(node)
    if not channels or channels != list(range(channels[0], channels[0] + len(channels))):
        return None
    return [(channels[0], len(channels))]
