"""``Trace``: one run of a network over tensors without numbers, which writes the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnc.errors import ModelError, UserError
from cnnc.frontends.dsl.call_site import CallSite, origin_site, placed, refusal, written_at
from cnnc.frontends.dsl.constant import Constant, number
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.frontends.dsl.tensor import Operand, Tensor
from cnnc.ir import NO_ATTRS, Array, Attrs, Graph, Node, Value
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

Values = Callable[[str, Parameter], Array]
"""The numbers of a parameter, by its name."""


@dataclass
class _Scope:
    """A module under way.

    Attributes:
        path: names of its nodes begin with it.
        made_at: where it was written, of a layer: its last node bears the path itself.
        last: that node, so far.
        counts: modules that were made inside while the network ran, by kind.
    """

    path: str
    made_at: CallSite | None
    last: Node | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def child(self, kind: str) -> str:
        """A path for a module that was made while the network ran: ``conv2d``, ``conv2d_1``, ..."""
        count = self.counts.get(kind, 0)
        self.counts[kind] = count + 1
        name = f"{kind}_{count}" if count else kind
        return f"{self.path}.{name}" if self.path else name


class Trace:
    """The graph under construction.

    Args:
        name: of the graph.
        paths: names of the parameters and modules known beforehand.
        values: gives the numbers of a parameter.

    Attributes:
        parameters: every parameter that the network used, by name, in the order of first use.
    """

    def __init__(self, name: str, paths: Mapping[Any, str], values: Values) -> None:
        self.graph = Graph(OPS, name)
        self.parameters: dict[str, Parameter] = {}
        self._paths: dict[object, str] = dict(paths)
        self._values = values
        self._constants: dict[Parameter, Value] = {}
        self._scopes = [_Scope("", None)]
        self._given_names: set[str] = set()

    # ---- inputs and names -------------------------------------------------------------------------------------------

    def input(self, name: str, type: TensorType) -> Tensor:
        """A new input of the graph."""
        return Tensor(self, self.graph.add_input(name, type))

    def give_name(self, tensor: Tensor, name: str) -> None:
        """Call a tensor ``name``.

        Raises:
            ModelError: another tensor bears the name.
        """
        if not name:
            raise refusal("a name must not be empty")
        if name in self._given_names:
            raise refusal(f"the name {name!r} is used twice", hint="give each tensor a name of its own")
        if self.graph.has_value(name) and self.graph.value(name) is not tensor.value:
            # The name was the automatic one of another value, which makes way.
            other = self.graph.value(name)
            if other.producer is None:
                raise refusal(f"the name {name!r} is that of an input or a parameter", hint="choose another")
            self.graph.rename(other, self.graph.fresh_name(name))
        self.graph.rename(tensor.value, name)
        self._given_names.add(name)

    @contextmanager
    def inside(
        self, module: object, kind: str, *, made_at: CallSite | None, children: Callable[[str], Mapping[Any, str]]
    ) -> Iterator[None]:
        """While a module runs: names begin with its path. A module that is not known yet gets one here.

        Args:
            kind: its class in lower case.
            made_at: where a layer was written; None for a module that is no layer.
            children: paths of its parts.
        """
        path = self._paths.get(module)
        if path is None:
            path = self._scopes[-1].child(kind)
            self._paths[module] = path
            self._paths.update({part: name for part, name in children(path).items() if part not in self._paths})
        self._scopes.append(_Scope(path, made_at))
        try:
            yield
        except ModelError as error:
            raise error if made_at is None else written_at(error, made_at) from None
        finally:
            self._scopes.pop()

    @property
    def path(self) -> str:
        """Path of the module under way; "" for the network itself."""
        return self._scopes[-1].path

    def labelled(self, kind: str) -> str:
        """The module under way, which is a ``kind``: Conv2d 'features.3'."""
        return f"{kind} {self.path!r}" if self.path else kind

    # ---- operands ---------------------------------------------------------------------------------------------------

    def operand(self, given: Operand | Constant, *, like: Tensor | None = None, reader: str = "") -> Tensor:
        """A tensor, parameter, array or number as a tensor of this graph.

        Args:
            like: gives plain numbers its element type; float32 without.
            reader: the node that constants are named after; that of the module under way without.

        Raises:
            ModelError: something else, a tensor of another model, or a parameter that has no numbers.
        """
        if isinstance(given, Tensor):
            if given.trace is not self:
                raise refusal(
                    "a tensor of another model, or of an earlier run of this one", hint="use tensors of one run only"
                )
            return given
        if isinstance(given, Parameter):
            return self._parameter(given)
        if isinstance(given, (bool, int, float)):
            given = number(given, DType.F32 if like is None else like.dtype)
        elif isinstance(given, (np.ndarray, np.generic)):
            given = Constant(np.asarray(given))
        if isinstance(given, Constant):
            return self._constant(given, reader or self.path)
        raise refusal(f"expected a tensor, a parameter, an array or a number, got {type(given).__name__}")

    def _constant(self, constant: Constant, around: str) -> Tensor:
        name = f"{around}.{constant.role}" if around else constant.role
        try:
            return Tensor(self, self.graph.add_constant(constant.array, name))
        except UserError as error:
            raise placed(error, "") from None

    def _parameter(self, parameter: Parameter) -> Tensor:
        if parameter not in self._constants:
            path = self._paths.get(parameter)
            if path is None:
                path = self._scopes[-1].child("parameter")
                self._paths[parameter] = path
            if self.graph.has_value(path):
                raise refusal(f"the parameter {path!r} has the name of another tensor", hint="rename the attribute")
            array = self._values(path, parameter)
            self.parameters[path] = parameter
            self._constants[parameter] = self.graph.add_constant(array, path)
        return Tensor(self, self._constants[parameter])

    # ---- nodes ------------------------------------------------------------------------------------------------------

    def emit(
        self,
        op: str,
        operands: Sequence[Operand | Constant | None],
        attrs: Attrs = NO_ATTRS,
        *,
        like: Tensor | None = None,
    ) -> Tensor:
        """A new node of one output.

        Args:
            like: gives plain numbers among the operands its element type; float32 without.

        Raises:
            ModelError: the operands contradict the op's rules; the error names the user's line.
        """
        return self.emit_many(op, operands, attrs, outputs=1, like=like)[0]

    def emit_many(
        self,
        op: str,
        operands: Sequence[Operand | Constant | None],
        attrs: Attrs = NO_ATTRS,
        *,
        outputs: int,
        like: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """A new node of several outputs, see ``emit``."""
        name = self._node_name(op)
        values = [
            None if operand is None else self.operand(operand, like=like, reader=name).value for operand in operands
        ]
        site = origin_site(self._scopes[-1].made_at)
        origin = name if site is None else f"{name} ({site.short})"
        try:
            node = self.graph.add_node(op, values, attrs, outputs=outputs, names=[name], loc=(origin,))
        except UserError as error:
            raise placed(error, f"{op} {name!r}") from None
        self._scopes[-1].last = node
        return tuple(Tensor(self, value) for value in node.outputs)

    def _node_name(self, op: str) -> str:
        scope = self._scopes[-1]
        if scope.made_at is None or not scope.path:
            return self.graph.fresh_name(f"{scope.path}.{op}" if scope.path else op)
        if scope.last is not None:
            self._leave_name(scope.last, scope.path)
        return self.graph.fresh_name(scope.path)

    def _leave_name(self, node: Node, path: str) -> None:
        """A node that was the last of its layer no longer is: it is called after its op, too."""
        value = node.output
        if value.name in self._given_names:
            return
        name = self.graph.fresh_name(f"{path}.{node.op}")
        node.loc = tuple(part.replace(value.name, name, 1) for part in node.loc)
        self.graph.rename(value, name)


def trace_of(*operands: object) -> Trace:
    """The trace of the first tensor among the operands, which may be lists of tensors.

    Raises:
        ModelError: there is no tensor among them.
    """
    for operand in operands:
        if isinstance(operand, Tensor):
            return operand.trace
        if isinstance(operand, (list, tuple)):
            for item in operand:
                if isinstance(item, Tensor):
                    return item.trace
    shown = ", ".join(type(operand).__name__ for operand in operands)
    raise refusal(
        f"expected a tensor of a model under construction, got {shown or 'nothing'}",
        hint="build the network with dsl.model(network, inputs); cnnc.compile(model).run(...) takes arrays",
    )
