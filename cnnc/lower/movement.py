"""Ops that only move elements of plain tensors: each is one or a few strided copies, sizes symbolic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim, maximum, minimum, product
from cnnc.ir import Node, Value
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import LoweringRule, host_supports
from cnnc.runtime.cpu import copy_fill, copy_strided, gather
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call


@dataclass(frozen=True, slots=True)
class Copy:
    """``shape`` elements from ``source`` to the output, strides and offsets in elements.

    ``steps_over_gaps``: the source strides account for a source that is a range of channels.
    """

    source: Value
    shape: tuple[Dim, ...]
    source_strides: tuple[Dim, ...]
    target_strides: tuple[Dim, ...]
    source_offset: Dim = 0
    target_offset: Dim = 0
    steps_over_gaps: bool = False


def row_major(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides in elements of a dense tensor."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def copy_call(builder: ProgramBuilder, copy: Copy, target: BufferArg, size: int) -> Call:
    """One ``copy.strided`` call; ``size`` is bytes an element."""
    source = builder.argument(copy.source, gaps=copy.steps_over_gaps)
    buffers = {
        "x": BufferArg(source.buffer, source.offset + copy.source_offset * size),
        "y": BufferArg(target.buffer, target.offset + copy.target_offset * size),
    }
    sizes = copy_strided.arguments(copy.shape, copy.source_strides, copy.target_strides)
    return builder.call(Variant.of("copy.strided", size=size), buffers, sizes)


def _emit_copies(node: Node, builder: ProgramBuilder, copies: Sequence[Copy]) -> None:
    target = builder.allocate(node.output)
    size = node.output.type.dtype.size
    calls = [copy_call(builder, copy, BufferArg(target.buffer), size) for copy in copies]
    builder.kernel_step(node, calls)


def _too_many_dims(copies: Sequence[Copy]) -> str | None:
    for copy in copies:
        rank = copy_strided.merged_rank(copy.shape, copy.source_strides, copy.target_strides)
        if rank > copy_strided.RANK:
            return f"the copy has {rank} separate dims, at most {copy_strided.RANK} are supported"
    return None


def _needs(node: Node, *positions: int) -> str | None:
    """Why the integer operands at ``positions`` are not known, or None."""
    for position in positions:
        value = node.optional(position)
        if value is not None and value.fact.sizes() is None:
            return f"%{value.name} is only known at run time"
    return None


# ---- transpose ------------------------------------------------------------------------------------------------------


def _transpose(node: Node) -> list[Copy]:
    x = node.input(0)
    rank = x.type.rank
    perm = getattr(node.attrs, "perm", ()) or tuple(reversed(range(rank)))
    strides = row_major(x.type.shape)
    shape = node.output.type.shape
    return [Copy(x, shape, tuple(strides[axis] for axis in perm), row_major(shape))]


# ---- slice ----------------------------------------------------------------------------------------------------------


def _slice(node: Node) -> list[Copy]:
    x = node.input(0)
    starts = _sizes(node.input(1))
    axes_value, steps_value = node.optional(3), node.optional(4)
    axes = _sizes(axes_value) if axes_value is not None else tuple(range(len(starts)))
    steps = _sizes(steps_value) if steps_value is not None else (1,) * len(starts)
    strides = list(row_major(x.type.shape))
    offset: Dim = 0
    dense = row_major(x.type.shape)
    for start, axis, step in zip(starts, axes, steps):
        assert isinstance(axis, int) and isinstance(step, int)
        axis %= x.type.rank
        size = x.type.shape[axis]
        first = start if not isinstance(start, int) or start >= 0 else start + size
        first = minimum(maximum(first, 0), size if step > 0 else size - 1)
        offset = offset + first * dense[axis]
        strides[axis] = dense[axis] * step
    shape = node.output.type.shape
    return [Copy(x, shape, tuple(strides), row_major(shape), source_offset=offset)]


def _slice_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = host_supports(node, builder) or _needs(node, 1, 2, 3, 4)
    if reason is not None:
        return reason
    for position in (3, 4):
        value = node.optional(position)
        if value is not None and any(not isinstance(size, int) for size in _sizes(value)):
            return f"%{value.name} is symbolic"
    return _too_many_dims(_slice(node))


def _sizes(value: Value) -> tuple[Dim, ...]:
    sizes = value.fact.sizes()
    assert sizes is not None
    return sizes


# ---- concat and split -----------------------------------------------------------------------------------------------


def _concat(node: Node) -> list[Copy]:
    shape = node.output.type.shape
    axis = getattr(node.attrs, "axis", 0) % len(shape)
    target = row_major(shape)
    copies = []
    offset: Dim = 0
    for value in node.inputs:
        assert value is not None
        copies.append(Copy(value, value.type.shape, row_major(value.type.shape), target, target_offset=offset))
        offset = offset + value.type.shape[axis] * target[axis]
    return copies


def _emit_split(node: Node, builder: ProgramBuilder) -> None:
    x = node.input(0)
    axis = getattr(node.attrs, "axis", 0) % x.type.rank
    strides = row_major(x.type.shape)
    offset: Dim = 0
    calls = []
    for value in node.outputs:
        target = builder.allocate(value)
        copy = Copy(x, value.type.shape, strides, row_major(value.type.shape), source_offset=offset)
        calls.append(copy_call(builder, copy, BufferArg(target.buffer), value.type.dtype.size))
        offset = offset + value.type.shape[axis] * strides[axis]
    builder.kernel_step(node, calls)


def _split_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    return host_supports(node, builder) or _needs(node, 1)


# ---- pad ------------------------------------------------------------------------------------------------------------


def _pad_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _needs(node, 1, 3)
    if reason is None and node.input(0).type.layout != node.output.type.layout:
        reason = "input and output have different layouts"
    if reason is not None:
        return reason
    if getattr(node.attrs, "mode", "constant") != "constant":
        return "only constant padding is a copy"
    value = node.optional(2)
    if value is not None and value.fact.array is None:
        return "the padding value is only known at run time"
    begins, ends = _pads(node)
    if any(not isinstance(pad, int) or pad < 0 for pad in (*begins, *ends)):
        return "a padding is negative or symbolic"
    return None


def _pads(node: Node) -> tuple[list[Dim], list[Dim]]:
    rank = node.input(0).type.rank
    pads = _sizes(node.input(1))
    axes_value = node.optional(3)
    axes = _sizes(axes_value) if axes_value is not None else tuple(range(rank))
    begins: list[Dim] = [0] * rank
    ends: list[Dim] = [0] * rank
    for index, axis in enumerate(axes):
        assert isinstance(axis, int)
        begins[axis % rank] = pads[index]
        ends[axis % rank] = pads[len(axes) + index]
    return begins, ends


def _emit_pad(node: Node, builder: ProgramBuilder) -> None:
    x, y = node.input(0), node.output
    begins, _ = _pads(node)
    fill_value = node.optional(2)
    array = np.zeros(1, y.type.dtype.numpy)
    if fill_value is not None and fill_value.fact.array is not None:
        array[0] = fill_value.fact.array.reshape(-1)[0]
    target = builder.allocate(y)
    # A blocked tensor has its lanes behind the spatial axes; batch and channels are not padded then.
    source, strides = x.type.physical_shape, row_major(y.type.physical_shape)
    offset: Dim = 0
    for begin, stride in zip(begins, strides):
        offset = offset + begin * stride
    copy = Copy(x, source, row_major(source), strides, target_offset=offset)
    arg = BufferArg(target.buffer)
    size = y.type.dtype.size
    bits = int.from_bytes(array.tobytes(), "little", signed=False)
    fill = builder.call(
        Variant.of("copy.fill", size=size),
        {"y": arg},
        copy_fill.arguments(product(y.type.physical_shape), _signed(bits)),
    )
    builder.kernel_step(node, [fill, copy_call(builder, copy, arg, size)])


def _signed(bits: int) -> int:
    """The 64-bit slot value of an unsigned pattern."""
    return bits - (1 << 64) if bits >= 1 << 63 else bits


# ---- expand and tile ------------------------------------------------------------------------------------------------


def broadcast_copy(x: Value, shape: Sequence[Dim]) -> Copy:
    """``x``, plain, to a dense tensor of a shape that it broadcasts to: see ``broadcast_refusal``."""
    missing = len(shape) - x.type.rank
    dense = row_major(x.type.shape)
    strides: list[Dim] = [0] * missing
    for size, stride in zip(x.type.shape, dense):
        strides.append(0 if size == 1 else stride)
    return Copy(x, tuple(shape), tuple(strides), row_major(shape))


def broadcast_refusal(x: Value, shape: Sequence[Dim]) -> str | None:
    """Why one copy does not broadcast ``x`` to ``shape``, or None."""
    sizes = x.type.shape
    if any(size not in (1, wanted) for size, wanted in zip(sizes, shape[len(shape) - len(sizes) :])):
        return "whether an axis is broadcast is only known at run time"
    return _too_many_dims([broadcast_copy(x, shape)])


def _expand(node: Node) -> list[Copy]:
    return [broadcast_copy(node.input(0), node.output.type.shape)]


def _expand_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = host_supports(node, builder) or _needs(node, 1)
    return reason or broadcast_refusal(node.input(0), node.output.type.shape)


def _tile(node: Node) -> list[Copy]:
    x = node.input(0)
    repeats = _sizes(node.input(1))
    dense = row_major(x.type.shape)
    shape: list[Dim] = []
    strides: list[Dim] = []
    for repeat, size, stride in zip(repeats, x.type.shape, dense):
        shape += [repeat, size]
        strides += [0, stride]
    return [Copy(x, tuple(shape), tuple(strides), row_major(shape))]


# ---- depth to space and back, channel shuffle -----------------------------------------------------------------------


def _permuted(x: Value, split: Sequence[Dim], perm: Sequence[int]) -> list[Copy]:
    """View ``x`` as shape ``split`` and transpose it."""
    strides = row_major(split)
    shape = tuple(split[axis] for axis in perm)
    return [Copy(x, shape, tuple(strides[axis] for axis in perm), row_major(shape))]


def _depth_to_space(node: Node) -> list[Copy]:
    x = node.input(0)
    n, c, h, w = x.type.shape
    block = int(getattr(node.attrs, "blocksize", 1))
    depth = c // (block * block)
    if getattr(node.attrs, "mode", "DCR") == "DCR":
        return _permuted(x, (n, block, block, depth, h, w), (0, 3, 4, 1, 5, 2))
    return _permuted(x, (n, depth, block, block, h, w), (0, 1, 4, 2, 5, 3))


def _space_to_depth(node: Node) -> list[Copy]:
    x = node.input(0)
    n, c, h, w = x.type.shape
    block = int(getattr(node.attrs, "blocksize", 1))
    order = (0, 3, 5, 1, 2, 4) if getattr(node.attrs, "mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return _permuted(x, (n, c, h // block, block, w // block, block), order)


def _channel_shuffle(node: Node) -> list[Copy]:
    x = node.input(0)
    n, c, *spatial = x.type.shape
    groups = int(getattr(node.attrs, "groups", 1))
    return _permuted(x, (n, groups, c // groups, product(spatial)), (0, 2, 1, 3))


# ---- gather ---------------------------------------------------------------------------------------------------------


def _gather_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = host_supports(node, builder)
    if reason is not None:
        return reason
    indices = node.input(1).fact.array
    axis = node.input(0).type.shape[getattr(node.attrs, "axis", 0) % node.input(0).type.rank]
    if indices is None or not isinstance(axis, int):
        # The kernel clamps an index out of range, which ONNX calls an error: only known indices are checked here.
        return "its indices or the axis are only known at run time"
    if indices.size and (indices.min() < -axis or indices.max() >= axis):
        return f"an index lies outside the axis of {axis} elements"
    return None


def _emit_gather(node: Node, builder: ProgramBuilder) -> None:
    x = node.input(0)
    indices = node.input(1).fact.array
    assert indices is not None
    axis = getattr(node.attrs, "axis", 0) % x.type.rank
    sizes = gather.arguments(
        product(x.type.shape[:axis]), x.type.shape[axis], product(x.type.shape[axis + 1 :]), int(indices.size)
    )
    buffers = {
        "x": builder.argument(x),
        "indices": BufferArg(builder.constant(indices.astype(np.int64).reshape(-1), "indices")),
        "y": builder.result(node.output),
    }
    variant = Variant.of("gather", size=node.output.type.dtype.size)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _rule(copies: Callable[[Node], list[Copy]], *known: int) -> tuple[LoweringRule, ...]:
    """A rule whose operands at ``known`` must be known, for an op that is the given copies."""

    def supports(node: Node, builder: ProgramBuilder) -> str | None:
        return host_supports(node, builder) or _needs(node, *known) or _too_many_dims(copies(node))

    return (LoweringRule("copy.strided", supports, lambda node, builder: _emit_copies(node, builder, copies(node))),)


RULES = {
    "gather": (LoweringRule("gather", _gather_refusal, _emit_gather),),
    "transpose": _rule(_transpose),
    "concat": _rule(_concat),
    "tile": _rule(_tile, 1),
    "depth_to_space": _rule(_depth_to_space),
    "space_to_depth": _rule(_space_to_depth),
    "channel_shuffle": _rule(_channel_shuffle),
    "slice": (
        LoweringRule("copy.strided", _slice_refusal, lambda node, builder: _emit_copies(node, builder, _slice(node))),
    ),
    "expand": (
        LoweringRule("copy.strided", _expand_refusal, lambda node, builder: _emit_copies(node, builder, _expand(node))),
    ),
    "split": (LoweringRule("copy.strided", _split_refusal, _emit_split),),
    "pad": (LoweringRule("copy.fill + copy.strided", _pad_refusal, _emit_pad),),
}
