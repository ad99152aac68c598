"""What is known of an operand while types are inferred: its type, and its content where that is known.

Content is known for constants, and for small integer tensors computed from shapes: ``Shape -> Gather -> Concat`` yields
the content ``(N, 512)`` long before N is a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, Expr, symbol
from cnnc.errors import ModelError
from cnnc.types import DType, TensorType

Array = NDArray[np.generic]

MAX_KNOWN_ELEMENTS = 1024
"""Largest tensor whose content is tracked through nodes (constants are always known)."""


@dataclass(frozen=True, slots=True)
class Content:
    """Symbolic content of a tensor of rank 0 or 1 of whole numbers (int64 most of the time), element by element."""

    dims: tuple[Dim, ...]
    scalar: bool = False

    @property
    def is_number(self) -> bool:
        """Whether every element is a plain int."""
        return not any(isinstance(dim, Expr) for dim in self.dims)

    def array(self) -> Array:
        """The int64 array, where every element is a number."""
        values = np.array([int(dim) for dim in self.dims if isinstance(dim, int)], np.int64)
        return values.reshape(()) if self.scalar else values


@dataclass(frozen=True, slots=True)
class Fact:
    """One operand: its type; ``array`` when the content is a known array; ``content`` when known symbolically."""

    type: TensorType
    array: Array | None = None
    content: Content | None = None

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.type.shape

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    def sizes(self) -> tuple[Dim, ...] | None:
        """Integer content as dims (flattened), from a constant or symbolically; None when not known."""
        if self.content is not None:
            return self.content.dims
        if self.array is None or self.array.dtype.kind not in "iu" or self.array.size > MAX_KNOWN_ELEMENTS:
            return None
        return tuple(int(value) for value in self.array.reshape(-1).tolist())


class Operands(Sequence["Fact | None"]):
    """The operands of a node for type inference; absent optional inputs are None."""

    def __init__(self, facts: Sequence[Fact | None], *, node: str = "", outputs: int = 1) -> None:
        self._facts = tuple(facts)
        self.node = node
        self.outputs = outputs

    def __len__(self) -> int:
        return len(self._facts)

    def __getitem__(self, index: int) -> Fact | None:  # type: ignore[override]
        return self._facts[index] if index < len(self._facts) else None

    def __iter__(self) -> Iterator[Fact | None]:
        return iter(self._facts)

    def need(self, index: int) -> Fact:
        """Operand ``index``, which must be there.

        Raises:
            ModelError: it is absent.
        """
        fact = self[index]
        if fact is None:
            raise ModelError(f"input {index} is required but absent")
        return fact

    def present(self) -> tuple[Fact, ...]:
        """All operands that are not absent."""
        return tuple(fact for fact in self._facts if fact is not None)

    def fresh(self, hint: str) -> Expr:
        """A new symbol for a size that only the values decide; stable for the same node and hint."""
        name = re.sub(r"[^A-Za-z0-9_]", "_", self.node) or "node"
        return symbol(f"u_{name}_{hint}")
