"""``Tensor``: a value of the graph under construction, with the operators that users expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cnnc.dims import Dim
from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.constant import integers
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.ir import Array, Value
from cnnc.ops.reshaping import TransposeAttrs
from cnnc.types import DType

if TYPE_CHECKING:
    from cnnc.frontends.dsl.trace import Trace

Index: TypeAlias = int | slice | EllipsisType


class Tensor:
    """A tensor that a network computes: a shape and an element type, no numbers. Every operation adds a node.

    Attributes:
        trace: what is being built.
        value: the value of the graph.
    """

    __slots__ = ("trace", "value")

    # NumPy arrays on the left of an operator leave it to this class.
    __array_ufunc__ = None

    def __init__(self, trace: Trace, value: Value) -> None:
        self.trace = trace
        self.value = value

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Sizes: ints, or expressions where an input's size was left open."""
        return self.value.type.shape

    @property
    def dtype(self) -> DType:
        return self.value.type.dtype

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def channels(self) -> int:
        """Size of axis 1 of [N, C, ...].

        Raises:
            ModelError: there is no such axis, or its size is open.
        """
        if self.rank < 2:
            raise refusal(f"{self} has no channel axis")
        size = self.shape[1]
        if not isinstance(size, int):
            raise refusal(f"{self} has an open number of channels", hint="give the input's axis 1 a number")
        return size

    def size(self, axis: int) -> int:
        """Size of one axis.

        Raises:
            ModelError: there is no such axis, or its size is open.
        """
        if not -self.rank <= axis < self.rank:
            raise refusal(f"{self} has no axis {axis}")
        size = self.shape[axis]
        if not isinstance(size, int):
            raise refusal(f"axis {axis} of {self} is open", hint="give that axis of the input a number")
        return size

    def __repr__(self) -> str:
        return f"Tensor({self.value.name!r}, {self.value.type})"

    def __str__(self) -> str:
        return str(self.value.type)

    def __bool__(self) -> bool:
        raise refusal(
            "a tensor under construction has no numbers, so it is neither true nor false",
            hint="dsl.where(condition, a, b) chooses when the network runs",
        )

    def __iter__(self) -> Iterator[Tensor]:
        raise refusal(f"{self} cannot be looped over", hint="dsl.split(x, sizes, axis) gives its parts")

    # ---- operators --------------------------------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        return self._binary("add", self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return self._binary("add", other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return self._binary("sub", self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return self._binary("sub", other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return self._binary("mul", self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return self._binary("mul", other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return self._binary("div", self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return self._binary("div", other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return self._binary("pow", self, other)

    def __matmul__(self, other: Operand) -> Tensor:
        return self.trace.emit("matmul", [self, other])

    def __neg__(self) -> Tensor:
        return self.trace.emit("neg", [self])

    def __gt__(self, other: Operand) -> Tensor:
        return self._binary("greater", self, other)

    def __lt__(self, other: Operand) -> Tensor:
        return self._binary("less", self, other)

    def _binary(self, op: str, left: Operand, right: Operand) -> Tensor:
        return self.trace.emit(op, [left, right], like=self)

    def __getitem__(self, index: Index | tuple[Index, ...]) -> Tensor:
        """Slices with steps above 0, single indices and ``...``, as NumPy has them."""
        parts = list(index) if isinstance(index, tuple) else [index]
        if parts.count(...) > 1:
            raise refusal("an index has one ... at most")
        if ... in parts:
            at = parts.index(...)
            parts[at : at + 1] = [slice(None)] * (self.rank - len(parts) + 1)
        if len(parts) > self.rank:
            raise refusal(f"{len(parts)} indices for {self}")
        return self._drop(self._slice(parts), [axis for axis, part in enumerate(parts) if isinstance(part, int)])

    def _slice(self, parts: Sequence[Index]) -> Tensor:
        limits = [(axis, *self._limits(axis, part)) for axis, part in enumerate(parts) if part != slice(None)]
        if not limits:
            return self
        axes, starts, ends, steps = zip(*limits)
        named = zip(("starts", "ends", "axes", "steps"), (starts, ends, axes, steps))
        return self.trace.emit("slice", [self, *(integers(numbers, role) for role, numbers in named)])

    def _limits(self, axis: int, part: Index) -> tuple[int, int, int]:
        if isinstance(part, int):
            size = self.shape[axis]
            if isinstance(size, int) and not -size <= part < size:
                raise refusal(f"index {part} is outside axis {axis} of {self}")
            return part, part + 1 if part != -1 else _TO_THE_END, 1
        if not isinstance(part, slice) or not all(isinstance(x, (int, type(None))) for x in _fields(part)):
            raise refusal(f"an index must be made of integers and slices of integers, got {part!r}")
        step = 1 if part.step is None else part.step
        if step < 1:
            raise refusal(f"a slice's step must be above 0, got {step}")
        return part.start or 0, _TO_THE_END if part.stop is None else part.stop, step

    def _drop(self, tensor: Tensor, axes: list[int]) -> Tensor:
        return tensor.trace.emit("squeeze", [tensor, integers(axes, "axes")]) if axes else tensor

    def transpose(self, *axes: int) -> Tensor:
        """Axis i of the result is axis axes[i] of this tensor."""
        return self.trace.emit("transpose", [self], TransposeAttrs(tuple(axes)))


_TO_THE_END = 2**62
"""Clamped by slice to the axis."""


def _fields(part: slice) -> tuple[object, object, object]:
    return part.start, part.stop, part.step


Operand: TypeAlias = Tensor | Parameter | Array | np.number | int | float
"""What an operator takes beside a tensor: parameters, arrays and numbers become constants."""


def check_channels(kind: str, x: Tensor, channels: int) -> None:
    """Refuse x [N, C, ...] with another C, for a layer of class ``kind``.

    Raises:
        ModelError: naming expected and got.
    """
    if x.rank < 2 or (isinstance(x.shape[1], int) and x.shape[1] != channels):
        got = x.shape[1] if x.rank > 1 else "none"
        raise refusal(f"{x.trace.labelled(kind)} takes {channels} channels, got {got}: the input is {x}")
