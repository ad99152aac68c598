"""Writes an exported model to a file, with its tensors inside or in one file beside it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from onnx import ModelProto

from cnnc.errors import OptionError
from cnnc.export.model import export_graph
from cnnc.export.tensors import ExternalTensors
from cnnc.ir.graph import Graph

MAX_INLINE_BYTES = (1 << 31) - (1 << 26)
"""Most bytes of tensors inside a model: a protobuf message ends at 2 GiB, and the nodes need room too."""


def export_model(
    graph: Graph,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int | None = None,
    external_data: bool = False,
) -> ModelProto:
    """The graph as an ONNX model, written to a file where a path is given, which appears whole or not at all.

    Args:
        graph, opset: see ``export_graph``.
        path: the model; tensors outside of it go to a file of its name with ``.data`` behind.
        external_data: put the tensors into that file, which happens anyway where the model would exceed 2 GB.

    Returns:
        The model as it was written: with external data its large tensors hold no content.

    Raises:
        UnsupportedError: see ``export_graph``.
        OptionError: as there; or external data without a path.
        OSError: a file cannot be written.
    """
    size = sum(value.array.nbytes for value in graph.constants if value.array is not None)
    external_data = external_data or size > MAX_INLINE_BYTES
    if path is None:
        if external_data:
            what = f"{size} bytes of tensors cannot be outside of a model that is in no file"
            raise OptionError(what, where="external_data", hint="give a path; models over 2 GB need one")
        return export_graph(graph, opset=opset)
    path = Path(path)
    if not external_data:
        model = export_graph(graph, opset=opset)
        with _replacing(path) as file:
            file.write(model.SerializeToString())
        return model
    data = path.with_name(f"{path.name}.data")
    # The tensors first: whoever sees the new model finds them.
    with _replacing(path) as file:
        with _replacing(data) as tensors:
            model = export_graph(graph, opset=opset, store=ExternalTensors(tensors, data.name))
            serialized = model.SerializeToString()
        file.write(serialized)
    return model


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name beside ``path``, renamed to it when the block ends well."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
