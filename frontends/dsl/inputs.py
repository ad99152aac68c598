"""Shapes and element types of a model's inputs, as users write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, symbol
from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.elementary import dtype_named
from cnnc.types import TensorType

Size = int | str | None
"""A size of an input: a number, a name of a size that stays open, or None for one that is open and has no name."""


@dataclass(frozen=True, slots=True)
class Input:
    """Shape and element type of an input: ``Input("N", 3, 224, 224)``."""

    shape: tuple[Size, ...]
    dtype: str = "float32"

    def __init__(self, *shape: Size, dtype: str = "float32") -> None:
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "dtype", dtype)

    def type(self, name: str) -> TensorType:
        """The tensor type, open sizes as symbols.

        Raises:
            ModelError: a size is neither a positive integer nor a name.
        """
        dims: list[Dim] = []
        for axis, size in enumerate(self.shape):
            if isinstance(size, int) and not isinstance(size, bool) and size >= 1:
                dims.append(size)
            elif size is None or (isinstance(size, str) and size.isidentifier()):
                dims.append(symbol(size or f"{name}_d{axis}"))
            else:
                raise refusal(f"input {name!r}: size {size!r} of axis {axis} is neither a positive integer nor a name")
        return TensorType(tuple(dims), dtype_named(self.dtype))


Inputs = Mapping[str, Input | Sequence[Size]] | Input | Sequence[Size]
"""Inputs by name; one alone is called ``x``."""


def inputs_by_name(inputs: Inputs) -> dict[str, Input]:
    """Every input under its name.

    Raises:
        ModelError: there are none.
    """
    if isinstance(inputs, Mapping):
        if not inputs:
            raise refusal("a model needs at least one input")
        named = inputs.items()
    else:
        named = {"x": inputs}.items()
    return {name: shape if isinstance(shape, Input) else Input(*shape) for name, shape in named}
