"""What an exporter sees: operands by name and type, and the operation that reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import InternalError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Array
from cnnc.types import TensorType


@dataclass(frozen=True, slots=True)
class Operand:
    """A value under the name that it has in the ONNX graph; ``array`` is the content of a constant."""

    name: str
    type: TensorType
    array: Array | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One op to be written: a node of the graph, or a part of one, such as a step of a chain.

    Args:
        name: what to call its ONNX node.
        op, attrs: as in the IR.
        inputs: None where an optional operand is absent.
        outputs: names and types of the results.
        origins: names of the nodes of the source model that it came from.
    """

    name: str
    op: str
    attrs: Attrs
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand, ...]
    origins: tuple[str, ...] = ()

    @property
    def output(self) -> Operand:
        """The first result."""
        return self.outputs[0]

    def optional(self, index: int) -> Operand | None:
        """Input ``index``, or None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def input(self, index: int) -> Operand:
        """Input ``index``, which must be present."""
        operand = self.optional(index)
        if operand is None:
            raise InternalError(f"{self.op} {self.name!r} has no input {index}")
        return operand
