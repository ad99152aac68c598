"""Strides, dilations and padding as users write them: one number for all axes, one an axis, pairs, or "same"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
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
    numbers = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,) * rank
    if any(not isinstance(number, Integral) or isinstance(number, bool) or number < least for number in numbers):
        kind = "an integer" if rank == 1 else "integers"
        raise refusal(f"{name}={given!r} must be {kind} of at least {least}")
    if len(numbers) != rank:
        raise refusal(f"{name}={given!r} has {len(numbers)} numbers for {rank} spatial axes")
    return tuple(int(number) for number in numbers)


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
    entries = padding if isinstance(padding, Sequence) else [padding] * rank
    if len(entries) != rank:
        raise refusal(f"padding={padding!r} has {len(entries)} entries for {rank} spatial axes")
    pairs = [pair for pair in map(_pair, entries) if pair is not None]
    if len(pairs) != rank:
        raise refusal(f"padding={padding!r}: an entry is a number of at least 0, or a pair of them (before, after)")
    return Pads(pads=tuple(pair[side] for side in (0, 1) for pair in pairs))


def _pair(entry: object) -> tuple[int, int] | None:
    """An axis's padding before and after; None where it is of no such form."""
    sides = tuple(entry) if isinstance(entry, (list, tuple)) else (entry, entry)
    if len(sides) != 2 or any(not isinstance(side, Integral) or side < 0 for side in sides):
        return None
    return int(sides[0]), int(sides[1])
