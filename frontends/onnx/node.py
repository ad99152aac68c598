"""``OnnxNode``: what a converter sees of one node, and how it emits nodes of the IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.onnx.attributes import AttributeValue, attribute_value, make_attrs
from cnnc.frontends.onnx.tensors import sparse_to_array, tensor_to_array
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.node import Value
from cnnc.ops import OPS

Converted = Sequence[Value | None]
"""The values of a node's outputs, in order; None or a missing tail for outputs that nobody reads."""


class OnnxNode:
    """One node of the model, its inputs resolved to values of the graph under construction.

    ``opset`` is the version that the model imports for the node's domain. ``outputs`` holds the names that the node
    writes, ``""`` where it writes none; ``used`` tells which of them anybody reads. ``prefix`` goes before
    names that come from inside a function or a branch.
    """

    def __init__(
        self,
        proto: onnx.NodeProto,
        graph: Graph,
        *,
        opset: int,
        loc: tuple[str, ...],
        inputs: Sequence[Value | None],
        used: Sequence[bool],
        folder: Path | None,
        prefix: str = "",
    ) -> None:
        self.proto = proto
        self.op_type = proto.op_type
        self.domain = "" if proto.domain == "ai.onnx" else proto.domain
        self.opset = opset
        self.loc = loc
        self.inputs = tuple(inputs)
        self.outputs = tuple(prefix + name if name else "" for name in proto.output)
        self.used = tuple(used)
        self.folder = folder
        self.graph = graph
        self._attributes: dict[str, AttributeValue] = {}
        for attribute in proto.attribute:
            if attribute.name in self._attributes:
                raise ModelError(f"attribute {attribute.name!r} is given twice")
            self._attributes[attribute.name] = attribute_value(attribute)

    # ---- reading ----------------------------------------------------------------------------------------------------

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return tuple(self._attributes)

    def has(self, name: str) -> bool:
        """Whether the node has that attribute."""
        return name in self._attributes

    def attribute(self, name: str) -> AttributeValue | None:
        """An attribute of any kind, or None."""
        return self._attributes.get(name)

    def integer(self, name: str, default: int | None = None) -> int:
        """An int attribute; without a default it is required."""
        value = self._attributes.get(name, default)
        if not isinstance(value, int):
            self._wrong(name, value, "an int")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        """A float attribute; without a default it is required."""
        value = self._attributes.get(name, default)
        if not isinstance(value, (int, float)):
            self._wrong(name, value, "a float")
        return float(value)

    def text(self, name: str, default: str | None = None) -> str:
        """A string attribute; without a default it is required."""
        value = self._attributes.get(name, default)
        if not isinstance(value, str):
            self._wrong(name, value, "a string")
        return value

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of ints, or None where the attribute is absent."""
        value = self._attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
            self._wrong(name, value, "a list of ints")
        return tuple(int(item) for item in value)

    def reals(self, name: str) -> tuple[float, ...] | None:
        """A list of floats, or None where the attribute is absent."""
        value = self._attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple) or any(isinstance(item, str) for item in value):
            self._wrong(name, value, "a list of floats")
        return tuple(float(item) for item in value)

    def subgraph(self, name: str) -> onnx.GraphProto:
        """A graph attribute, which is required."""
        value = self._attributes.get(name)
        if not isinstance(value, onnx.GraphProto):
            self._wrong(name, value, "a graph")
        return value

    def tensor(self, name: str) -> Array | None:
        """A dense or sparse tensor attribute as an array, or None where it is absent."""
        value = self._attributes.get(name)
        if value is None:
            return None
        if isinstance(value, onnx.SparseTensorProto):
            return sparse_to_array(value, self.folder)
        if not isinstance(value, onnx.TensorProto):
            self._wrong(name, value, "a tensor")
        return tensor_to_array(value, self.folder)

    def _wrong(self, name: str, value: object, kind: str) -> NoReturn:
        if value is None:
            raise ModelError(f"attribute {name!r} is required but absent")
        raise ModelError(f"attribute {name!r} must be {kind}, got {value!r:.60}")

    def input(self, index: int) -> Value:
        """Input ``index``, which is required."""
        value = self.optional(index)
        if value is None:
            raise ModelError(f"input {index} is required but absent")
        return value

    def optional(self, index: int) -> Value | None:
        """Input ``index``, or None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def known(self, index: int) -> Array | None:
        """The content of input ``index`` where it is known already, else None (also where the input is absent)."""
        value = self.optional(index)
        return None if value is None else value.fact.array

    def is_used(self, index: int) -> bool:
        """Whether anybody reads output ``index``."""
        return index < len(self.used) and self.used[index]

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        """Report the node as one that cnnc does not compute."""
        raise UnsupportedError(why, hint=hint)

    # ---- emitting ---------------------------------------------------------------------------------------------------

    def finish(self, op: str, inputs: Sequence[Value | None], *, outputs: int | None = None, **attrs: Any) -> Converted:
        """Emit the node whose outputs are this node's: one for each output up to the last that somebody reads."""
        if outputs is None:
            outputs = max((index + 1 for index, used in enumerate(self.used) if used), default=1)
        return self._emit(op, inputs, outputs, self.outputs[:outputs], attrs)

    def step(self, op: str, inputs: Sequence[Value | None], **attrs: Any) -> Value:
        """Emit a node on the way to the result; it has one output."""
        return self._emit(op, inputs, 1, (f"{self._stem}.{op}",), attrs)[0]

    def steps(self, op: str, inputs: Sequence[Value | None], outputs: int, **attrs: Any) -> tuple[Value, ...]:
        """``step`` for a node of several outputs."""
        names = [f"{self._stem}.{op}.{index}" for index in range(outputs)]
        return self._emit(op, inputs, outputs, names, attrs)

    def constant(self, value: Any, dtype: np.dtype[Any] | type[Any] | None = None, name: str = "const") -> Value:
        """A constant, called after the node."""
        return self.graph.add_constant(np.array(value, dtype), f"{self._stem}.{name}")

    def optional_int64(self, values: Sequence[Any] | None, name: str) -> Value | None:
        """An int64 constant of rank 1, or None for None: an attribute that became an input."""
        return None if values is None else self.constant(list(values), np.int64, name)

    @property
    def _stem(self) -> str:
        return next((name for name in self.outputs if name), self.loc[0])

    def _emit(
        self, op: str, inputs: Sequence[Value | None], outputs: int, names: Sequence[str], attrs: dict[str, Any]
    ) -> tuple[Value, ...]:
        if op not in OPS:
            self.refuse(f"there is no op {op!r} in the IR")
        made = self.graph.add_node(op, inputs, make_attrs(op, attrs), outputs=outputs, names=names, loc=self.loc)
        return made.outputs


Converter = Callable[[OnnxNode], Converted]
"""Emits the IR of one node and returns the values of its outputs."""
