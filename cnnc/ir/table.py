"""The protocol by which the IR knows ops: the IR imports no op, it is handed a table of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Array, Content, Fact, Operands
from cnnc.types import TensorType


class OpInfo(Protocol):
    """What the IR asks of an op."""

    @property
    def name(self) -> str: ...

    @property
    def attrs(self) -> type[Attrs]: ...

    def infer_types(self, attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
        """Type of each output; raises ModelError on contradictory operands."""
        ...

    def evaluate(
        self, attrs: Attrs, facts: Sequence[Fact | None], outputs: tuple[TensorType, ...]
    ) -> list[Array | Content | None]:
        """Content of each output where it can be known now, else None."""
        ...


class OpTable(Protocol):
    """Ops by name."""

    def __getitem__(self, name: str) -> OpInfo: ...

    def __contains__(self, name: object) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...
