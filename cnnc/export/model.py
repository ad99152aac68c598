"""``export_graph``: a graph of the IR becomes an ONNX model with the same inputs, outputs, names and results."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import GraphProto, ModelProto, StringStringEntryProto, TypeProto, ValueInfoProto, helper

from cnnc import __version__
from cnnc.errors import UnsupportedError
from cnnc.export.names import Names, name_values
from cnnc.export.operation import Operand, Operation
from cnnc.export.opset import check_opset
from cnnc.export.table import find_exporter
from cnnc.export.tensors import TensorStore, code_of, inline_tensor
from cnnc.export.writer import ModelWriter
from cnnc.ir.graph import Graph
from cnnc.ir.node import Node, Value
from cnnc.types import TensorType


def export_graph(graph: Graph, *, opset: int | None = None, store: TensorStore = inline_tensor) -> ModelProto:
    """The graph as an ONNX model. The graph stays as it is.

    Inputs, outputs and values keep their names, and nodes those of the model they came from. Symbolic sizes become
    ``dim_param``. Constants that nothing reads are left out.

    Args:
        graph: imported, normalised or optimised; fused ops are written as the operators that they stand for.
        opset: the opset to write; None for the oldest, from 18 on, that has all the operators.
        store: makes the initializers; they hold their content unless told otherwise.

    Raises:
        UnsupportedError: the graph is placed, or ONNX (or that opset) has no words for a node.
        OptionError: the onnx package does not know the opset, or it is older than 18.
    """
    check_opset(opset)
    if graph.stage == "placed":
        what = "a placed graph says where tensors lie in memory, for which ONNX has no words"
        raise UnsupportedError(what, where=graph.name, hint="export the graph before it is placed: the optimised one")
    names = Names()
    chosen = name_values(graph, names)
    writer = ModelWriter(find_exporter, names, opset)
    operands = {value: Operand(chosen[value], value.type, value.array) for value in graph.values}
    for value in graph.inputs:
        writer.sizes.learn(operands[value])
    for node in graph.nodes:
        writer.write(_operation(node, operands))
        for value in node.outputs:
            writer.sizes.learn(operands[value])
    outputs = _write_outputs(graph, writer, operands)
    returned = set(graph.output_names)
    between = [(name, type) for name, type in writer.types.items() if name not in returned]
    proto = GraphProto(
        name=graph.name,
        node=writer.nodes,
        input=[_value_info(operands[value].name, value.type) for value in graph.inputs],
        output=[_value_info(name, type) for name, type in outputs],
        initializer=[store(name, array) for name, array in writer.constants.items()],
        value_info=[_value_info(name, type) for name, type in between],
    )
    imports = [helper.make_opsetid("", opset or writer.opset)]
    return ModelProto(
        ir_version=helper.find_min_ir_version_for(imports),
        opset_import=imports,
        producer_name="cnnc",
        producer_version=__version__,
        graph=proto,
        metadata_props=[StringStringEntryProto(key="cnnc.stage", value=graph.stage)],
    )


def _operation(node: Node, operands: Mapping[Value, Operand]) -> Operation:
    inputs = tuple(None if value is None else operands[value] for value in node.inputs)
    outputs = tuple(operands[value] for value in node.outputs)
    return Operation(node.name, node.op, node.attrs, inputs, outputs, node.loc)


def _write_outputs(
    graph: Graph, writer: ModelWriter, operands: Mapping[Value, Operand]
) -> list[tuple[str, TensorType]]:
    """Name and type of each output. A value that bears another name, of an input or another output, is copied."""
    outputs = []
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        operand = operands[value]
        if operand.name != name:
            writer.add_node("Identity", [operand], [Operand(name, value.type)], {}, f"{name}/Identity")
        elif operand.array is not None:
            writer.constants.setdefault(name, operand.array)
        outputs.append((name, value.type))
    return outputs


def _value_info(name: str, type: TensorType) -> ValueInfoProto:
    """Name, element type and shape; a symbolic size is written as the text of its expression."""
    tensor = TypeProto.Tensor(elem_type=code_of(type.dtype))
    tensor.shape.SetInParent()
    for dim in type.shape:
        if isinstance(dim, int):
            tensor.shape.dim.add(dim_value=dim)
        else:
            tensor.shape.dim.add(dim_param=str(dim))
    return ValueInfoProto(name=name, type=TypeProto(tensor_type=tensor))
