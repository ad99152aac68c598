"""``Constant``: an array that a node reads, named after the node and what it is to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.frontends.dsl.call_site import refusal
from cnnc.ir import Array
from cnnc.types import DType


@dataclass(frozen=True, slots=True)
class Constant:
    """An operand called ``{node}.{role}``: ``features.0.pad.widths``."""

    array: Array
    role: str = "const"


def integers(numbers: Sequence[int], role: str) -> Constant:
    """An int64 operand of rank 1."""
    return Constant(np.asarray(numbers, np.int64).reshape(-1), role)


def number(value: bool | int | float, dtype: DType) -> Constant:
    """A number as an operand of the element type of the tensors beside it.

    Raises:
        ModelError: the type cannot hold it: fractions are not cut off silently.
    """
    if isinstance(value, float) and not dtype.is_float:
        raise refusal(
            f"the tensor is {dtype.value}, and {value} is a float",
            hint='cast the tensor first: dsl.cast(x, "float32")',
        )
    try:
        return Constant(np.asarray(value, dtype.numpy))
    except OverflowError:
        raise refusal(f"the tensor is {dtype.value}, which cannot hold {value}") from None
