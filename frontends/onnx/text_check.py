"""Names in a model must be UTF-8: protobuf hands out others as bytes, or fails when they are read."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from cnnc.errors import ModelError

_MAX_DEPTH = 64
"""Of subgraphs: deeper ones are refused by the importer, which names them."""


def check_text(model: onnx.ModelProto, where: str) -> None:
    """Refuse a model with a name that is not UTF-8.

    Raises:
        ModelError: there is one.
    """
    try:
        bad = next((text for text in _model_names(model) if not isinstance(text, str)), None)
    except UnicodeDecodeError as error:
        bad = error.object
    if bad is not None:
        raise ModelError(f"the name {bad!r:.80} is not UTF-8 text", where=where, hint="the file is damaged")


def _model_names(model: onnx.ModelProto) -> Iterator[object]:
    for opset in model.opset_import:
        yield opset.domain
    yield from _graph_names(model.graph, 0)
    for function in model.functions:
        yield from (function.name, function.domain, function.overload, *function.input, *function.output)
        yield from function.attribute
        for attribute in function.attribute_proto:
            yield attribute.name
        for opset in function.opset_import:
            yield opset.domain
        for node in function.node:
            yield from _node_names(node, 0)


def _graph_names(graph: onnx.GraphProto, depth: int) -> Iterator[object]:
    yield graph.name
    for value in (*graph.input, *graph.output):
        yield value.name
        for dim in value.type.tensor_type.shape.dim:
            yield dim.dim_param
    for tensor in graph.initializer:
        yield from _tensor_names(tensor)
    for sparse in graph.sparse_initializer:
        yield from _tensor_names(sparse.values)
    for node in graph.node:
        yield from _node_names(node, depth)


def _node_names(node: onnx.NodeProto, depth: int) -> Iterator[object]:
    yield from (node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)
    for attribute in node.attribute:
        yield from (attribute.name, attribute.ref_attr_name)
        if attribute.HasField("t"):
            yield from _tensor_names(attribute.t)
        if depth < _MAX_DEPTH:
            for graph in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
                yield from _graph_names(graph, depth + 1)


def _tensor_names(tensor: onnx.TensorProto) -> Iterator[object]:
    yield tensor.name
    for entry in tensor.external_data:
        yield from (entry.key, entry.value)
