"""``export_onnx``: any model that can be compiled, as an ONNX file, imported or optimised."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cnnc.compiler import Model, optimise_graph, read_graph
from cnnc.export import export_model
from cnnc.ir import Graph, Notes
from cnnc.ir.clone import clone_graph
from cnnc.options import Options
from cnnc.runtime.jit.target import host_target

if TYPE_CHECKING:
    from onnx import ModelProto


def export_onnx(
    model: Model,
    path: str | os.PathLike[str] | None = None,
    *,
    level: int | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    opset: int | None = None,
    external_data: bool = False,
) -> ModelProto:
    """Export a model to ONNX.

    Args:
        model: path of an ``.onnx`` or ``.cnnc`` file, its bytes, an onnx ``ModelProto``, a ``dsl.Model`` or a
            ``Graph``, which stays as it is. A ``.cnnc`` file holds an optimised graph.
        path: where to write it; None to return it only.
        level: optimise the graph first, as ``compile`` would at this level; None for the graph as it was imported.
        shapes: input shapes by name that override the model's: ints, or names for symbolic sizes.
        opset: the opset to write; None for the oldest, from 18 on, that has all the operators.
        external_data: put large tensors into ``<path>.data``, as is done anyway for more than 2 GB.

    Returns:
        The model, which passes the ONNX checker. With external data its large tensors hold no content.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, or what ONNX has no words for, naming nodes.
        OptionError: an option makes no sense.
        OSError: the file cannot be written.
    """
    graph = read_graph(model, shapes)
    if level is not None:
        graph = optimised(clone_graph(graph) if isinstance(model, Graph) else graph, level)
    return export_model(graph, path, opset=opset, external_data=external_data)


def optimised(graph: Graph, level: int) -> Graph:
    """The graph after the passes of ``level`` that come before placement; it is rewritten in place.

    Raises:
        OptionError: there is no such level.
        InternalError: a pass broke the graph; a bug of cnnc.
    """
    if graph.stage not in ("optimised", "placed"):
        optimise_graph(graph, Options(level), Notes(), target=host_target(), stop_after="mark-optimised")
    return graph
