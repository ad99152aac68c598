"""Pointwise ops, concat and means between dequantize_linear and quantize_linear -> q_linear ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.ir import Match, Op, Patch, Rule, Value, known_array
from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ops import quantized
from cnnc.ops.quantized_operands import LARGEST
from cnnc.passes.quantized_operand import Quantized, read_operand, read_result
from cnnc.types import DType

_BYTES = (DType.I8, DType.U8)


def _read(found: Match, count: int) -> tuple[list[Quantized], Quantized] | str:
    """The first ``count`` operands of the op and its result, all of one stored type, or why not."""
    sides: list[Quantized] = []
    for value in found.node("op").inputs[:count]:
        assert value is not None
        side = read_operand(value)
        if isinstance(side, str):
            return side
        sides.append(side)
    y = read_result(found.root)
    if isinstance(y, str):
        return y
    stored = {side.dtype for side in (*sides, y)}
    if len(stored) > 1 or y.dtype not in _BYTES:
        return f"operands and result are stored as {', '.join(sorted(dtype.value for dtype in stored))}"
    return sides, y


def _apply_binary(found: Match, patch: Patch) -> str | None:
    op = found.node("op")
    read = _read(found, 2)
    if isinstance(read, str):
        return read
    (a, b), y = read
    if op.op == "add" and max(a.scales[0], b.scales[0]) / y.scales[0] >= LARGEST:
        return f"add {op.name!r} has a ratio of scales that leaves no room for products with bytes in float32"
    made = patch.node(f"q_linear_{op.op}", [*a.triple(patch), *b.triple(patch), *y.pair(patch)], loc=found.loc)
    patch.replace(found.root.output, made)
    return None


def _apply_concat(found: Match, patch: Patch) -> str | None:
    op = found.node("op")
    attrs: Any = op.attrs
    read = _read(found, len(op.inputs))
    if isinstance(read, str):
        return read
    pieces, y = read
    inputs: list[Value] = [*y.pair(patch)]
    for piece in pieces:
        inputs.extend(piece.triple(patch))
    made = patch.node("q_linear_concat", inputs, quantized.QLinearConcatAttrs(attrs.axis), loc=found.loc)
    patch.replace(found.root.output, made)
    return None


def _unary(name: str, attrs_of: Callable[[Any], Attrs]) -> Callable[[Match, Patch], str | None]:
    def apply(found: Match, patch: Patch) -> str | None:
        read = _read(found, 1)
        if isinstance(read, str):
            return read
        (x,), y = read
        attrs = attrs_of(found.node("op").attrs)
        made = patch.node(name, [*x.triple(patch), *y.pair(patch)], attrs, loc=found.loc)
        patch.replace(found.root.output, made)
        return None

    return apply


def _apply_mean(found: Match, patch: Patch) -> str | None:
    """A mean over all spatial axes is a global pool; without keepdims a squeeze follows."""
    mean = found.node("op")
    attrs: Any = mean.attrs
    rank = mean.input(0).type.rank
    given = mean.optional(1)
    axes = None if given is None else known_array(given)
    spatial = list(range(2, rank))
    if axes is None or rank < 3 or sorted(int(axis) % rank for axis in axes.reshape(-1)) != spatial:
        return f"reduce_mean {mean.name!r} does not reduce exactly the spatial axes"
    read = _read(found, 1)
    if isinstance(read, str):
        return read
    (x,), y = read
    name = "q_linear_global_average_pool"
    made = patch.node(
        name, [*x.triple(patch), *y.pair(patch)], quantized.QLinearGlobalAveragePoolAttrs(), loc=found.loc
    )
    if not attrs.keepdims:
        squeezed = patch.constant(np.array(spatial, np.int64), f"{mean.name}.axes")
        made = patch.node("squeeze", [made, squeezed], loc=found.loc)
    patch.replace(found.root.output, made)
    return None


def _pool_attrs(attrs: Any) -> Attrs:
    return quantized.QLinearAveragePoolAttrs(**attrs.keywords())


def _rule(op: str, apply: Callable[[Match, Patch], str | None]) -> Rule:
    return Rule("fuse-quantized-ops", Op("quantize_linear", Op(op, rest=True, name="op"), rest=True), apply)


POINTWISE_RULES = (
    _rule("add|mul", _apply_binary),
    _rule("concat", _apply_concat),
    _rule("reduce_mean", _apply_mean),
    _rule("average_pool", _unary("q_linear_average_pool", _pool_attrs)),
    _rule(
        "global_average_pool",
        _unary("q_linear_global_average_pool", lambda attrs: quantized.QLinearGlobalAveragePoolAttrs()),
    ),
    _rule("leaky_relu", _unary("q_linear_leaky_relu", lambda attrs: quantized.QLinearLeakyReluAttrs(attrs.alpha))),
    _rule("sigmoid", _unary("q_linear_sigmoid", lambda attrs: NO_ATTRS)),
)
