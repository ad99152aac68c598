"""Strides, dilations and padding as users write them: one number for all axes, one an axis, pairs, or "same"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cnnc.frontends.dsl.call_site import refusal

Sizes: TypeAlias = int | Sequence[int]
"""One number for all spatial axes, or one for each."""

Padding: TypeAlias = str | int | Sequence[int] | Sequence[Sequence[int]]
"""A number for all sides, one an axis, a pair (before, after) an axis, "same" or "valid"."""


@dataclass(frozen=True, slots=True)
class Pads:
    """Padding in ONNX's terms: ``pads`` are all befores, then all afters; empty where ``auto_pad`` says it."""

    auto_pad: str = "NOTSET"
    pads: tuple[int, ...] = ()


def per_axis(name: str, given: Sizes, rank: int, *, least: int = 1) -> tuple[int, ...]:
    """``given`` as one number a spatial axis.

    Raises:
        ModelError: another count of numbers, no integers, or a number below ``least``.
    """
    numbers = (given,) * rank if isinstance(given, int) else tuple(given)
    if len(numbers) != rank:
        raise refusal(f"{name}={given!r} has {len(numbers)} numbers for {rank} spatial axes")
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise refusal(f"{name}={given!r} must be integers of at least {least}")
    return numbers


def read_padding(padding: Padding, rank: int) -> Pads:
    """``padding`` for ``rank`` spatial axes.

    Raises:
        ModelError: it is of none of the forms.
    """
    if isinstance(padding, str):
        modes = {"same": "SAME_UPPER", "valid": "VALID"}
        if padding not in modes:
            raise refusal(f"padding={padding!r} is not known", hint='use numbers, "same" or "valid"')
        return Pads(modes[padding])
    if isinstance(padding, int):
        padding = [padding] * rank
    if len(padding) != rank:
        raise refusal(f"padding={padding!r} has {len(padding)} entries for {rank} spatial axes")
    pairs = [tuple(side) if isinstance(side, Sequence) else (side, side) for side in padding]
    if any(len(pair) != 2 for pair in pairs):
        raise refusal(f"padding={padding!r}: an entry is a number or a pair (before, after)")
    flat = [pair[side] for side in (0, 1) for pair in pairs]
    return Pads(pads=per_axis("padding", flat, 2 * rank, least=0))
