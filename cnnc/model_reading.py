"""What a model may be given as, and the graph of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from cnnc import dsl, frontends
from cnnc.errors import ArtifactError, OptionError
from cnnc.ir import Graph
from cnnc.ir.text_parser import parse_graph
from cnnc.ops import OPS
from cnnc.runtime.artifact import open_artifact
from cnnc.runtime.artifact_format import MAGIC

Model = str | PathLike[str] | bytes | Any
"""Path or bytes of an ``.onnx`` or ``.cnnc`` file, an onnx ``ModelProto``, a ``dsl.Model``, or a ``Graph``."""


def read_graph(model: Model, shapes: Mapping[str, Sequence[int | str]] | None = None) -> Graph:
    """The graph of a model: imported from ONNX, traced from Python, or the optimised one that a ``.cnnc`` file holds.

    Raises:
        ModelError, UnsupportedError, ArtifactError: what is wrong with the model.
        OptionError: ``shapes`` does not fit the inputs, or the model's shapes are settled already.
    """
    if isinstance(model, Graph):
        return model
    if isinstance(model, dsl.Model):
        return model.graph(shapes)
    if not _is_artifact(model):
        return frontends.import_onnx(model, shapes=shapes)
    if shapes:
        raise OptionError("the shapes of a .cnnc file are settled", where="shapes", hint="compile the ONNX model anew")
    source = model if isinstance(model, bytes) else Path(model)
    portable = open_artifact(source).portable()
    if portable is None:
        where = "" if isinstance(model, bytes) else str(model)
        raise ArtifactError("the file holds no graph", where=where, hint="compile the ONNX model instead")
    return parse_graph(portable.graph.decode(), OPS, dict(portable.weights))


def _is_artifact(model: Model) -> bool:
    if isinstance(model, bytes):
        return model.startswith(MAGIC)
    if not isinstance(model, (str, PathLike)) or not Path(model).is_file():
        return False
    with Path(model).open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
