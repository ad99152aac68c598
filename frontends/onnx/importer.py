"""The walk over a model: names resolved in scopes, functions and decided branches inlined, problems collected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from onnx import defs

from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends.onnx.dtypes import dtype_of
from cnnc.frontends.onnx.functions import (
    bind_attributes,
    default_attributes,
    has_schema_function,
    local_functions,
    opset_versions,
    plain_domain,
    schema_function,
)
from cnnc.frontends.onnx.generic import convert_same, find_schema, ir_name
from cnnc.frontends.onnx.inputs import Shapes, input_types
from cnnc.frontends.onnx.node import Converted, OnnxNode
from cnnc.frontends.onnx.order import MAX_DEPTH, node_label, read_names, sort_nodes
from cnnc.frontends.onnx.reader import read_model
from cnnc.frontends.onnx.table import find_converter, knows_domain
from cnnc.frontends.onnx.tensors import sparse_to_array, tensor_to_array
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.node import Value
from cnnc.ops import OPS
from cnnc.types import TensorType

MAX_NODES = 1 << 17
"""Most nodes after inlining: functions that call functions could otherwise grow without bound."""
_MAX_REPORTED = 50


def import_onnx(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    shapes: Shapes | None = None,
    values: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph of an ONNX model, opset 1 to the newest that the installed onnx package knows.

    Values keep their names, nodes their ``loc``. Sizes that the model leaves open become symbols.

    Args:
        source: path, bytes or parsed model. External data is read from the folder of a path only.
        shapes: shapes of some inputs by name; ints fix a size, texts name one that stays open.
        values: inputs that become constants, such as a condition or a target size that decides shapes.

    Raises:
        ModelError: the model is damaged or contradicts itself.
        UnsupportedError: nodes that cnnc does not compute, all of them in one error.
        OptionError: ``shapes`` or ``values`` does not fit the inputs.
    """
    model, folder = read_model(source)
    try:
        return _Importer(model, folder).run(shapes, values or {})
    except UnicodeDecodeError as error:
        raise ModelError("a name in the model is not UTF-8 text", hint="the file is damaged") from error


@dataclass
class _Scope:
    """Values by name. A subgraph sees the scopes around it, a function only its own."""

    opsets: Mapping[str, int]
    parent: _Scope | None = None
    prefix: str = ""
    depth: int = 0
    calls: tuple[str, ...] = ()
    attributes: Mapping[str, onnx.AttributeProto] | None = None
    values: dict[str, Value | None] = field(default_factory=dict)
    """None for a value that an unsupported node would have computed."""

    def __contains__(self, name: str) -> bool:
        return name in self.values or (self.parent is not None and name in self.parent)

    def __getitem__(self, name: str) -> Value | None:
        if name in self.values or self.parent is None:
            return self.values[name]
        return self.parent[name]

    def names(self) -> set[str]:
        """All names that can be read here."""
        return set(self.values) | (self.parent.names() if self.parent is not None else set())


class _Importer:
    def __init__(self, model: onnx.ModelProto, folder: Path | None) -> None:
        self.model = model
        self.folder = folder
        self.graph = Graph(OPS, model.graph.name or "graph")
        self.functions = local_functions(model)
        self._labels: dict[str, int] = {}
        self.problems: list[str] = []
        self.nodes = 0

    def run(self, shapes: Shapes | None, constants: Mapping[str, Array]) -> Graph:
        proto = self.model.graph
        opsets = opset_versions(self.model.opset_import)
        if not opsets and self.model.ir_version < 3:
            opsets = {"": 1}
        newest = defs.onnx_opset_version()
        if opsets.get("", 1) > newest:
            reason = f"the model is of opset {opsets['']}, the newest that is known is {newest}"
            raise UnsupportedError(reason, hint="update the onnx package, or export for an older opset")
        scope = _Scope(opsets)
        weights = {tensor.name for tensor in proto.initializer}
        weights |= {sparse.values.name for sparse in proto.sparse_initializer}
        # IR version 3 repeats initializers as inputs, and later versions may, as defaults.
        inputs = [value for value in proto.input if value.name not in weights]
        unknown = sorted(set(constants) - {value.name for value in inputs})
        if unknown:
            raise OptionError(f"values= names {', '.join(unknown)}, which are no inputs")
        for value, type in zip(inputs, input_types(inputs, shapes)):
            if not value.name:
                raise ModelError("a graph input has no name")
            if value.name in constants:
                scope.values[value.name] = self._fixed(value.name, type, constants[value.name])
            else:
                scope.values[value.name] = self.graph.add_input(value.name, type)
        self._add_weights(proto, scope)
        self._walk(proto.node, scope, {value.name for value in proto.output})
        if self.problems:
            raise UnsupportedError(_report(self.problems), where=self.graph.name)
        self.graph.set_outputs(
            [self._output(scope, value) for value in proto.output], [value.name for value in proto.output]
        )
        return self.graph

    def _fixed(self, name: str, type: TensorType, array: Array) -> Value:
        """An input that the caller made a constant."""
        fits = array.ndim == type.rank and array.dtype == type.dtype.numpy
        if not fits or any(isinstance(dim, int) and dim != size for dim, size in zip(type.shape, array.shape)):
            raise OptionError(f"it is {type}, got {array.dtype.name}{list(array.shape)}", where=f"values[{name!r}]")
        return self.graph.add_constant(array.copy(), name)

    def _add_weights(self, proto: onnx.GraphProto, scope: _Scope) -> None:
        arrays = [(tensor.name, tensor) for tensor in proto.initializer]
        sparse = [(tensor.values.name, tensor) for tensor in proto.sparse_initializer]
        for name, tensor in [*arrays, *sparse]:
            if not name:
                raise ModelError("an initializer has no name")
            if name in scope.values:
                raise ModelError(f"the name {name!r} is defined twice", where=f"initializer {name!r}")
            try:
                array = (
                    tensor_to_array(tensor, self.folder)
                    if isinstance(tensor, onnx.TensorProto)
                    else sparse_to_array(tensor, self.folder)
                )
            except UnsupportedError as error:
                self.problems.append(f"initializer {name!r}: {error.what}")
                scope.values[name] = None
                continue
            scope.values[name] = self.graph.add_constant(array, scope.prefix + name)

    def _output(self, scope: _Scope, declared: onnx.ValueInfoProto) -> Value:
        where = f"output {declared.name!r}"
        if declared.name not in scope:
            raise ModelError("it is neither computed nor given", where=where)
        value = scope[declared.name]
        assert value is not None
        code = declared.type.tensor_type.elem_type
        if code and dtype_of(code) is not value.type.dtype:
            reason = f"it is declared as {dtype_of(code).value}, but the nodes compute {value.type.dtype.value}"
            raise ModelError(reason, where=where)
        return value

    # ---- nodes ------------------------------------------------------------------------------------------------------

    def _walk(self, nodes: Sequence[onnx.NodeProto], scope: _Scope, results: set[str]) -> None:
        """Convert all nodes of one graph or function body into ``scope``."""
        if scope.attributes is not None:
            nodes = [bind_attributes(node, scope.attributes) for node in nodes]
        used = results.union(*(read_names(node) for node in nodes))
        for index in sort_nodes(nodes, scope.names()):
            self._step(nodes[index], scope, node_label(nodes[index], index), used)

    def _unique(self, label: str) -> str:
        """``label``, numbered where several nodes of the model bear the same name."""
        count = self._labels.get(label, 0) + 1
        self._labels[label] = count
        return label if count == 1 else f"{label}#{count}"

    def _step(self, proto: onnx.NodeProto, scope: _Scope, label: str, used: set[str]) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ModelError(f"the model has more than {MAX_NODES} nodes once its functions are inlined")
        loc = self._unique(scope.prefix + label)
        where = f"{proto.op_type} node {loc!r}"
        values: Converted = ()
        try:
            self._check_known(proto, scope)
            inputs = [scope[name] if name else None for name in proto.input]
            if all(not name or value is not None for name, value in zip(proto.input, inputs)):
                reported = len(self.problems)
                values = self._convert(proto, scope, loc, inputs, used)
                # A body with a problem of its own leaves outputs open, and has said why.
                if len(self.problems) == reported:
                    _check_complete(proto, values, used)
        except UnsupportedError as error:
            self.problems.append(_problem(proto, scope, loc, error))
        except ModelError as error:
            if error.where:
                raise
            raise ModelError(error.what, where=where, hint=error.hint) from error
        for position, name in enumerate(proto.output):
            if name:
                scope.values[name] = values[position] if position < len(values) else None

    def _check_known(self, proto: onnx.NodeProto, scope: _Scope) -> None:
        """Refuse an operator that nothing handles, whether or not its inputs could be computed."""
        domain = plain_domain(proto.domain)
        if (domain, proto.op_type, proto.overload) in self.functions:
            return
        if not knows_domain(domain):
            raise UnsupportedError(
                f"operators of domain {domain!r} are not supported", hint="install a package that converts them"
            )
        if domain == "" and domain not in scope.opsets:
            raise ModelError("the model imports no opset of ai.onnx")
        has_converter = find_converter(domain, proto.op_type) is not None or (domain == "" and proto.op_type == "If")
        if domain != "":
            if not has_converter:
                raise UnsupportedError(f"this operator of {domain} is not supported")
            return
        opset = scope.opsets[domain]
        if find_schema(proto.op_type, opset) is None:
            raise UnsupportedError(f"ONNX opset {opset} has no such operator")
        if has_converter or ir_name(proto.op_type) is not None or has_schema_function(proto.op_type, opset):
            return
        raise UnsupportedError("cnnc has no op for it", hint=_HINTS.get(proto.op_type, ""))

    def _convert(
        self, proto: onnx.NodeProto, scope: _Scope, loc: str, inputs: Sequence[Value | None], used: set[str]
    ) -> Converted:
        domain = plain_domain(proto.domain)
        function = self.functions.get((domain, proto.op_type, proto.overload))
        if function is not None:
            return self._call(function, proto, scope, loc, inputs, f"{domain}.{proto.op_type}")
        node = OnnxNode(
            proto,
            self.graph,
            opset=scope.opsets.get(domain, 1),
            loc=(loc,),
            inputs=inputs,
            used=[name in used for name in proto.output],
            folder=self.folder,
            prefix=scope.prefix,
        )
        if domain == "" and proto.op_type == "If":
            return self._branch(node, scope, loc)
        converter = find_converter(domain, proto.op_type)
        if converter is not None:
            return converter(node)
        if ir_name(proto.op_type) is not None:
            return convert_same(node)
        body = schema_function(proto, node.opset, inputs)
        if body is None:
            node.refuse("cnnc has no op for it")
        return self._call(body, proto, scope, loc, inputs, f"ai.onnx.{proto.op_type}")

    def _call(
        self,
        function: onnx.FunctionProto,
        proto: onnx.NodeProto,
        scope: _Scope,
        loc: str,
        inputs: Sequence[Value | None],
        name: str,
    ) -> Converted:
        """Inline a function: its own scope, the attributes of the call, its own opsets."""
        if name in scope.calls:
            chain = " -> ".join([*scope.calls, name])
            raise ModelError(f"the function calls itself: {chain}")
        if len(inputs) > len(function.input):
            raise ModelError(f"function {name} takes {len(function.input)} inputs, got {len(inputs)}")
        inner = _Scope(
            opset_versions(function.opset_import) or scope.opsets,
            prefix=f"{loc}/",
            depth=self._deeper(scope),
            calls=(*scope.calls, name),
            attributes=default_attributes(function, proto),
        )
        given = dict(zip(function.input, inputs))
        absent = {parameter for parameter in function.input if given.get(parameter) is None}
        inner.values.update({parameter: value for parameter, value in given.items() if value is not None})
        nodes = [_without_inputs(node, absent) for node in function.node] if absent else list(function.node)
        wanted = {result for result, name in zip(function.output, proto.output) if name}
        self._walk(nodes, inner, wanted)
        return self._hand_out(inner, function.output, proto.output, scope.prefix)

    def _branch(self, node: OnnxNode, scope: _Scope, loc: str) -> Converted:
        """Inline the branch of an If whose condition is known."""
        condition = node.known(0)
        if condition is None:
            hint = "give the input sizes with shapes=, so that the condition can be decided"
            node.refuse(f"its condition {node.input(0).name!r} depends on values", hint)
        if condition.size != 1:
            raise ModelError(f"its condition has {condition.size} elements, expected one")
        branch = node.subgraph("then_branch" if bool(condition.reshape(())) else "else_branch")
        inner = _Scope(scope.opsets, scope, prefix=f"{loc}/", depth=self._deeper(scope), calls=scope.calls)
        self._add_weights(branch, inner)
        self._walk(branch.node, inner, {value.name for value in branch.output})
        return self._hand_out(inner, [value.name for value in branch.output], node.proto.output, scope.prefix)

    def _hand_out(self, inner: _Scope, results: Sequence[str], outputs: Iterable[str], prefix: str) -> Converted:
        """Results of an inlined body, under the names that the node outside gives them."""
        values: list[Value | None] = []
        for result, name in zip(results, outputs):
            if not name:
                values.append(None)
                continue
            if result not in inner:
                raise ModelError(f"its output {result!r} is neither computed nor given")
            value = inner[result]
            values.append(value)
            outer = prefix + name
            if value is not None and value.name.startswith(inner.prefix) and not self.graph.has_value(outer):
                self.graph.rename(value, outer)
        return values

    def _deeper(self, scope: _Scope) -> int:
        if scope.depth >= MAX_DEPTH:
            raise ModelError(f"functions and branches are nested more than {MAX_DEPTH} deep")
        return scope.depth + 1


_HINTS = {
    "Loop": "export with a fixed number of steps, so that the loop is unrolled",
    "Scan": "export with a fixed number of steps, so that the scan is unrolled",
}


def _without_inputs(node: onnx.NodeProto, absent: set[str]) -> onnx.NodeProto:
    """The node of a function body with the optional parameters that the call left out replaced by no input."""
    if not absent.intersection(node.input):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = ["" if name in absent else name for name in node.input]
    return copy


def _check_complete(proto: onnx.NodeProto, values: Converted, used: set[str]) -> None:
    for position, name in enumerate(proto.output):
        if name in used and (position >= len(values) or values[position] is None):
            raise UnsupportedError(f"its output {position} ({name!r}) is not computed")


def _problem(proto: onnx.NodeProto, scope: _Scope, loc: str, error: UnsupportedError) -> str:
    domain = plain_domain(proto.domain)
    version = scope.opsets.get(domain, 1)
    text = f"{proto.op_type} node {loc!r} ({domain or 'ai.onnx'} {version}): {error.what}"
    return f"{text}; {error.hint}" if error.hint else text


def _report(problems: Sequence[str]) -> str:
    shown = list(problems[:_MAX_REPORTED])
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    count = "1 place is" if len(problems) == 1 else f"{len(problems)} places are"
    return "\n  - ".join([f"{count} not supported", *shown])
