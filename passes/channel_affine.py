"""Affine functions of a channel, y[n, c, ...] = scale[c] * x[n, c, ...] + shift[c], read from the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim
from cnnc.ir import Array, Const, Node, Op, Value, known_array
from cnnc.ir.pattern import Pattern

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelAffine:
    """``scale`` [C] and ``shift`` [C] in float64, so that folding rounds once."""

    scale: Float64
    shift: Float64

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.scale).all() and np.isfinite(self.shift).all())

    def then(self, later: ChannelAffine) -> ChannelAffine:
        """The function that applies this one and then ``later``."""
        return ChannelAffine(later.scale * self.scale, later.scale * self.shift + later.shift)


def affine_over(source: Pattern) -> tuple[Op, ...]:
    """Patterns of every node that may be an affine function of ``source``; ``read_affine`` decides whether it is."""
    return (
        Op("mul|add|sub", source, Const(), name="affine", commutative=True),
        Op("div", source, Const(), name="affine"),
        Op("scale_shift", source, Const(), Const(), name="affine"),
        Op("batch_normalization", source, Const(), Const(), Const(), Const(), name="affine"),
    )


def affine_source(node: Node) -> Value:
    """The operand of an affine node that is not its constant."""
    commutes = node.op in ("mul", "add", "sub")
    return node.input(1) if commutes and known_array(node.input(0)) is not None else node.input(0)


def read_affine(node: Node) -> ChannelAffine | str:
    """The affine function that ``node`` applies to ``affine_source(node)`` [N, C, ...], or why it is none."""
    source = affine_source(node)
    if not node.output.type.dtype.is_float:
        return f"{node.output.type.dtype.value} arithmetic does not fold"
    if source.type.rank < 2 or not isinstance(source.type.shape[1], int):
        return f"%{source.name} {source.type} has no known number of channels"
    if node.op == "batch_normalization":
        affine = _read_batch_norm(node)
    elif node.op == "scale_shift":
        affine = _read_scale_shift(node)
    else:
        affine = _read_arithmetic(node, source, source.type.shape[1])
    if isinstance(affine, ChannelAffine) and not affine.is_finite:
        return "its scale or shift is not finite"
    return affine


def per_channel(array: Array, shape: tuple[Dim, ...]) -> Float64 | None:
    """[C] in float64 where ``array`` broadcasts to ``shape`` [N, C, ...] with one element a channel, or one in all."""
    channels = shape[1]
    if not isinstance(channels, int) or array.ndim > len(shape):
        return None
    full = (1,) * (len(shape) - array.ndim) + array.shape
    if full[1] not in (1, channels) or any(size != 1 for axis, size in enumerate(full) if axis != 1):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (channels,))


def _read_batch_norm(node: Node) -> ChannelAffine | str:
    attrs: Any = node.attrs
    if attrs.training_mode or len(node.outputs) > 1:
        return "it normalizes with the statistics of the batch (training_mode=1)"
    gamma, beta, mean, variance = (_float64(node, position) for position in (1, 2, 3, 4))
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + attrs.epsilon)
        return ChannelAffine(scale, beta - mean * scale)


def _read_scale_shift(node: Node) -> ChannelAffine | str:
    attrs: Any = node.attrs
    if not attrs.activation.is_identity:
        return f"{node.op} {node.name!r} applies {attrs.activation.kind}"
    return ChannelAffine(_float64(node, 1), _float64(node, 2))


def _read_arithmetic(node: Node, source: Value, channels: int) -> ChannelAffine | str:
    constant_first = source is node.input(1)
    constant = known_array(node.input(0 if constant_first else 1))
    if constant is None:
        return "neither operand is constant"
    values = per_channel(constant, source.type.shape)
    if values is None:
        return f"constant {list(constant.shape)} is not one value a channel of {source.type}"
    ones, zeros = np.ones(channels), np.zeros(channels)
    match node.op:
        case "mul":
            return ChannelAffine(values, zeros)
        case "add":
            return ChannelAffine(ones, values)
        case "sub":
            return ChannelAffine(-ones, values) if constant_first else ChannelAffine(ones, -values)
        case _:
            with np.errstate(all="ignore"):
                return ChannelAffine(1 / values, zeros)


def _float64(node: Node, position: int) -> Float64:
    array = known_array(node.input(position))
    assert array is not None  # the patterns of affine_over ask for constants
    return array.astype(np.float64)
