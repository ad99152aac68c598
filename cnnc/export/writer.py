"""``ModelWriter`` collects the nodes and constants of an ONNX graph; ``NodeWriter`` is what an exporter writes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from onnx import NodeProto

from cnnc.dims import Dim
from cnnc.errors import InternalError, UnsupportedError
from cnnc.export.attributes import Value, changed_fields, make_attributes
from cnnc.export.names import Names
from cnnc.export.operation import Operand, Operation
from cnnc.export.opset import OLDEST, find_schema, first_opset, newest_opset, operator_of
from cnnc.export.sizes import Sizes
from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ir.fact import Array
from cnnc.types import DType, TensorType

MAX_SHARED_ELEMENTS = 32
"""Largest constant of an exporter's own that is looked for among those made before."""


class ModelWriter:
    """The ONNX graph under construction.

    Attributes:
        asked_opset: the opset to write, or None for the oldest that has all operators.
        opset: the oldest opset that has all operators written so far.
        nodes: in topological order.
        constants: those that are read, by name.
        types: types of the values between nodes, by name.
    """

    def __init__(self, exporter: Callable[[str], Exporter], names: Names, asked_opset: int | None) -> None:
        self.exporter = exporter
        self.names = names
        self.asked_opset = asked_opset
        self.opset = OLDEST
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.types: dict[str, TensorType] = {}
        self.sizes = Sizes()
        self._node_names = Names()
        self._shared: dict[tuple[str, tuple[int, ...], bytes], Operand] = {}

    def write(self, operation: Operation) -> None:
        """Write one operation with the exporter of its op.

        Raises:
            UnsupportedError: ONNX has no words for it; the error names the node.
        """
        try:
            self.exporter(operation.op)(NodeWriter(self, operation))
        except UnsupportedError as error:
            if error.where:
                raise
            where = f"{operation.op} node {operation.name!r}"
            raise UnsupportedError(error.what, where=where, hint=error.hint) from error

    def add_node(
        self,
        op_type: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand],
        attributes: Mapping[str, Value | None],
        name: str,
        origins: Sequence[str] = (),
    ) -> None:
        """Append an ONNX node.

        Raises:
            UnsupportedError: no opset, or not the one that was asked for, has the operator with these operands.
        """
        schema = find_schema(op_type, newest_opset())
        if schema is None:
            raise UnsupportedError(f"the installed onnx package knows no {op_type}", hint="update the onnx package")
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        written = make_attributes(schema, attributes)
        self._find_opset(op_type, {item.name: attributes[item.name] for item in written}, inputs, outputs)
        for operand in inputs:
            if operand is not None and operand.array is not None:
                self.constants.setdefault(operand.name, operand.array)
        self.nodes.append(
            NodeProto(
                op_type=op_type,
                name=self._node_names.take(name),
                input=["" if operand is None else operand.name for operand in inputs],
                output=[operand.name for operand in outputs],
                attribute=written,
                doc_string=f"from {', '.join(origins)}" if len(origins) > 1 else "",
            )
        )
        self.types.update({operand.name: operand.type for operand in outputs})

    def _find_opset(
        self,
        op_type: str,
        attributes: Mapping[str, object],
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand],
    ) -> None:
        read = [None if operand is None else operand.type.dtype for operand in inputs]
        made = [operand.type.dtype for operand in outputs]
        first = first_opset(op_type, attributes, read, made)
        if first is None:
            types = ", ".join("none" if dtype is None else dtype.value for dtype in read)
            with_attributes = f" with {', '.join(sorted(attributes))}" if attributes else ""
            raise UnsupportedError(f"ONNX has no {op_type} of {types}{with_attributes}")
        self.need_opset(op_type, first)

    def need_opset(self, op_type: str, first: int) -> None:
        """Note that an operator is written as it is defined since opset ``first``.

        Raises:
            UnsupportedError: an older opset was asked for, or the onnx package does not know so new a one.
        """
        if first > newest_opset():
            what = f"{op_type} of this meaning came with opset {first}, the installed onnx package ends at"
            raise UnsupportedError(f"{what} {newest_opset()}", hint="update the onnx package")
        if self.asked_opset is not None and first > self.asked_opset:
            what = f"opset {self.asked_opset} has no {op_type} of this meaning, opset {first} is the first that has"
            raise UnsupportedError(what, hint=f"export for opset {first} or newer, or for none in particular")
        self.opset = max(self.opset, first)

    def rename_result(self, old: str, new: Operand) -> bool:
        """Call the only result of the last node ``new`` if it is called ``old``; else return False."""
        if not self.nodes or list(self.nodes[-1].output) != [old]:
            return False
        self.nodes[-1].output[0] = new.name
        del self.types[old]
        self.types[new.name] = new.type
        self.names.release(old)
        return True

    def new_value(self, hint: str, type: TensorType) -> Operand:
        """A value between nodes, called ``hint`` where that is free."""
        return Operand(self.names.take(hint), type)

    def new_constant(self, array: Array, hint: str) -> Operand:
        """A constant of an exporter's own; small ones of the same content are one."""
        dtype = DType.of(array.dtype)
        key = (dtype.value, array.shape, array.tobytes()) if array.size <= MAX_SHARED_ELEMENTS else None
        if key is not None and key in self._shared:
            return self._shared[key]
        made = Operand(self.names.take(hint), TensorType(array.shape, dtype), array)
        if key is not None:
            self._shared[key] = made
        return made


class NodeWriter:
    """Writes the ONNX nodes of one operation: ``step`` after ``step``, then ``result``; or one node by ``finish``."""

    def __init__(self, model: ModelWriter, operation: Operation) -> None:
        self.model = model
        self.operation = operation
        self.inputs = operation.inputs
        self.input = operation.input
        self.optional = operation.optional
        self.output = operation.output

    @property
    def attrs(self) -> Any:
        """The attributes of the op, of its own class."""
        return self.operation.attrs

    def fields(self, *dropped: str) -> dict[str, Any]:
        """Fields of the op that are not at their default, as attributes; without those that the exporter sees to."""
        return {name: value for name, value in changed_fields(self.operation.attrs).items() if name not in dropped}

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        """Report the node as one that ONNX has no words for."""
        raise UnsupportedError(why, hint=hint)

    # ---- writing ----------------------------------------------------------------------------------------------------

    def finish(self, op_type: str, inputs: Sequence[Operand | None], **attributes: Value | None) -> None:
        """Write the node whose results are those of the operation."""
        self._write(op_type, inputs, self.operation.outputs, attributes)

    def step(
        self,
        op_type: str,
        inputs: Sequence[Operand | None],
        type: TensorType | None = None,
        **attributes: Value | None,
    ) -> Operand:
        """Write a node on the way to the result.

        Args:
            type: type of its result; that of the operation's result unless given.
        """
        made = self.model.new_value(f"{self.output.name}.{op_type.lower()}", type or self.output.type)
        self._write(op_type, inputs, (made,), attributes)
        return made

    def part(
        self, op: str, inputs: Sequence[Operand | None], attrs: Attrs = NO_ATTRS, type: TensorType | None = None
    ) -> Operand:
        """Write another op of the IR as a part of this one.

        Args:
            type: type of its result; that of the operation's result unless given.
        """
        made = self.model.new_value(f"{self.output.name}.{op}", type or self.output.type)
        name = f"{self.operation.name}/{operator_of(op) or op}"
        self.model.write(Operation(name, op, attrs, tuple(inputs), (made,), self.operation.origins))
        return made

    def result(self, value: Operand) -> None:
        """Say that ``value`` is the operation's result."""
        if not self.model.rename_result(value.name, self.output):
            self._write("Identity", [value], (self.output,), {})

    def constant(self, value: Any, dtype: DType, name: str) -> Operand:
        """A constant, called after the operation."""
        return self.model.new_constant(np.asarray(value, dtype.numpy), f"{self.output.name}.{name}")

    def int64(self, values: Sequence[int], name: str) -> Operand:
        """A vector of int64."""
        return self.constant(list(values), DType.I64, name)

    def constant_result(self, array: Array) -> None:
        """Say that the operation's result is known: a constant of its name, no node."""
        if array.shape != self.output.type.shape:
            raise InternalError(f"{self.operation.name!r} is {self.output.type}, not {array.shape}")
        self.model.constants[self.output.name] = array

    def shape(self, dims: Sequence[Dim], name: str = "shape") -> Operand:
        """An int64 vector of sizes: a constant, or computed from the shapes of tensors.

        Raises:
            UnsupportedError: a symbol is no axis of any value before the node.
        """
        numbers = [dim for dim in dims if isinstance(dim, int)]
        if len(numbers) == len(dims):
            return self.int64(numbers, name)
        return self.model.sizes.vector(self, dims)

    def _write(
        self,
        op_type: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand],
        attributes: Mapping[str, Value | None],
    ) -> None:
        operation = self.operation
        name = operation.name if op_type == operator_of(operation.op) else f"{operation.name}/{op_type}"
        self.model.add_node(op_type, inputs, outputs, attributes, name, operation.origins)


Exporter = Callable[[NodeWriter], None]
"""Writes the ONNX nodes of one operation."""
