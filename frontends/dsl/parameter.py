"""Parameters: named tensors that a module owns. A parameter says its shape; a model holds the values."""

from __future__ import annotations

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.initialisers import Initialiser
from cnnc.types import DType


class Parameter:
    """A tensor that a module owns: declared here, filled in by a model.

    Two parameters are never equal, even where their shapes are: a module that is called twice shares its own.

    Args:
        shape: sizes, all of them known.
        init: how it begins; None for the model's own initialiser of weights.
        dtype: element type.
        trainable: False for what training does not learn by gradient (running means); such are not counted.

    Raises:
        ModelError: a size is not a positive integer.
    """

    __slots__ = ("dtype", "init", "shape", "trainable")

    def __init__(
        self,
        shape: tuple[int, ...],
        init: Initialiser | None = None,
        *,
        dtype: DType = DType.F32,
        trainable: bool = True,
    ) -> None:
        if any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in shape):
            raise refusal(f"a parameter of shape {list(shape)}: sizes must be positive integers")
        self.shape = tuple(shape)
        self.init = init
        self.dtype = dtype
        self.trainable = trainable

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    def __repr__(self) -> str:
        return f"Parameter({self.dtype.value}{list(self.shape)})"
