"""Quantization moved past ops that only move, pick or clamp values.

    Q(move(x))   = move(Q(x))          quantization works element by element
    Q(max(x, y)) = max(Q(x), Q(y))     and is monotonic: max pools, relu and clip, whose bounds are quantized
    move(DQ(x))  = DQ(move(x))

Q moves up and DQ down, and never back, so the moves end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.ir import ANY, Bind, Match, Node, Op, Patch, Rule, Value, known_array
from cnnc.passes.quantized_operand import Quantized, is_dequantized, read_operand, read_result

_MOVES = (
    "reshape|flatten|squeeze|unsqueeze|transpose|expand|tile|slice|gather|depth_to_space|space_to_depth|channel_shuffle"
    "|max_pool|resize|pad"
)
_CLAMPS = "relu|clip"
_CARRIERS = frozenset(f"{_MOVES}|{_CLAMPS}".split("|"))
_INTEGER_OPS = _CARRIERS | frozenset(
    "quantize_linear|conv|conv_transpose|gemm|matmul|add|mul|concat|split|reduce_mean|average_pool|global_average_pool|leaky_relu"
    "|sigmoid".split("|")
)
"""What reads integers once DQ has reached it."""


def _only_moves(node: Node) -> str | None:
    """Why ``node`` does more than move values, or None."""
    attrs: Any = node.attrs
    if node.op == "resize" and (
        attrs.mode != "nearest" or attrs.coordinate_transformation_mode == "tf_crop_and_resize" or attrs.antialias
    ):
        return f"resize {node.name!r} interpolates"
    return None


def _operands(move: Node, side: Quantized, patch: Patch) -> list[Value | None] | str:
    """The operands of ``move`` behind its data, as it needs them to work on integers of ``side``; or why it cannot.

    What a constant pad adds is a number like the data: it must be one that is stored exactly, as zero always is.
    """
    others = list(move.inputs[1:])
    if move.op != "pad" or getattr(move.attrs, "mode", "constant") != "constant":
        return others
    given = move.optional(2)
    array = np.zeros(1) if given is None else known_array(given)
    if array is None or array.size != 1:
        return f"what pad {move.name!r} adds is computed"
    number = float(array.reshape(-1)[0])
    stored = _stored_bound(number, side) if np.isfinite(number) else side.offset
    if (stored - side.offset) * float(side.scales[0]) != number:
        return f"pad {move.name!r} adds {number:g}, which is not stored exactly"
    others[1:2] = [_bound(stored, side, patch, f"{move.name}.value")]
    return others


def _comes_from_integers(value: Value) -> bool:
    """Whether an op over dequantized operands lies above, at most moves away."""
    node = value.producer
    while node is not None and node.op in _CARRIERS:
        node = node.input(0).producer
    if node is None:
        return False
    if node.op == "dequantize_linear":
        return True
    return any(operand is not None and is_dequantized(operand) for operand in node.inputs)


def _quantize(found: Match, source: Value, patch: Patch) -> Value:
    """``source`` quantized as the root of the match says."""
    root = found.root
    name = f"{source.name}.stored"
    return patch.node("quantize_linear", [source, *root.inputs[1:]], root.attrs, loc=root.loc, name=name)


def _raise_above_move(found: Match, patch: Patch) -> str | None:
    move, y = found.node("move"), read_result(found.root)
    if isinstance(y, str):
        return y
    if not _comes_from_integers(move.input(0)):
        return f"nothing above {move.op} {move.name!r} computes with integers"
    reason = _only_moves(move)
    if reason is not None:
        return reason
    others = _operands(move, y, patch)
    if isinstance(others, str):
        return others
    stored = _quantize(found, move.input(0), patch)
    patch.replace(found.root.output, patch.node(move.op, [stored, *others], move.attrs, loc=found.loc))
    return None


def _raise_above_clamp(found: Match, patch: Patch) -> str | None:
    clamp, y = found.node("move"), read_result(found.root)
    if isinstance(y, str):
        return y
    if not _comes_from_integers(clamp.input(0)):
        return f"nothing above {clamp.op} {clamp.name!r} computes with integers"
    limits = np.iinfo(y.dtype.numpy)
    bounds: list[int | None] = [y.offset, None]
    if clamp.op == "clip":
        bounds = []
        for index in (1, 2):
            operand = clamp.optional(index)
            array = None if operand is None else known_array(operand)
            if operand is not None and (array is None or np.isnan(array).any()):
                return f"the bounds of clip {clamp.name!r} are computed"
            bounds.append(None if array is None else _stored_bound(float(array.reshape(-1)[0]), y))
    stored = _quantize(found, clamp.input(0), patch)
    low, high = bounds
    operands = [
        None if low is None or low <= limits.min else _bound(low, y, patch, f"{clamp.name}.min"),
        None if high is None or high >= limits.max else _bound(high, y, patch, f"{clamp.name}.max"),
    ]
    if any(operand is not None for operand in operands):
        stored = patch.node("clip", [stored, *operands], loc=found.loc)
    patch.replace(found.root.output, stored)
    return None


def _stored_bound(real: float, y: Quantized) -> int:
    limits = np.iinfo(y.dtype.numpy)
    return int(np.clip(np.rint(real / float(y.scales[0])) + y.offset, limits.min, limits.max))


def _bound(value: int, y: Quantized, patch: Patch, name: str) -> Value:
    return patch.constant(np.array(value, y.dtype.numpy), name)


def _lower_below_move(found: Match, patch: Patch) -> str | None:
    move = found.root
    x = read_operand(move.input(0))
    if isinstance(x, str):
        return x
    reason = _only_moves(move)
    if reason is not None:
        return reason
    if not any(user.op in _INTEGER_OPS for value in move.outputs for user in value.users):
        return f"nothing behind {move.op} {move.name!r} computes with integers"
    if any(value.uses for value in move.outputs[1:]) and move.op != "split":
        return f"the indices of {move.op} {move.name!r} are read"
    many = len(move.outputs) if move.op == "split" else 1
    if move.op == "relu":
        bound = _bound(x.offset, x, patch, f"{move.name}.min")
        made: tuple[Value, ...] = (patch.node("clip", [x.stored, bound], loc=move.loc),)
    else:
        others = _operands(move, x, patch)
        if isinstance(others, str):
            return others
        made = patch.node_outputs(move.op, [x.stored, *others], move.attrs, loc=move.loc, outputs=many)
    for old, stored in zip(move.outputs, made):
        real = patch.node("dequantize_linear", [stored, *x.node.inputs[1:]], x.node.attrs, loc=x.node.loc)
        patch.replace(old, real)
    return None


def _drop_pair(found: Match, patch: Patch) -> str | None:
    """Q(DQ(x)) is x, or x in other steps."""
    x, y = read_operand(found.root.input(0)), read_result(found.root)
    if isinstance(x, str):
        return x
    if isinstance(y, str):
        return y
    if x.is_like(y):
        patch.replace(found.root.output, x.stored)
        return None
    patch.replace(found.root.output, patch.node("requantize", [*x.triple(patch), *y.pair(patch)], loc=found.loc))
    return None


_DEQUANTIZED = Bind(where=is_dequantized)
_MOVE = Op(_MOVES, ANY, rest=True, name="move")
_CLAMP = Op(_CLAMPS, ANY, rest=True, name="move")
MOVE_RULES = (
    Rule("raise-quantize", Op("quantize_linear", _MOVE, rest=True), _raise_above_move),
    Rule("raise-quantize", Op("quantize_linear", _CLAMP, rest=True), _raise_above_clamp),
    Rule("drop-quantize", Op("quantize_linear", _DEQUANTIZED, rest=True), _drop_pair),
    Rule("lower-dequantize", Op(f"{_MOVES}|split|relu", _DEQUANTIZED, rest=True), _lower_below_move),
)
