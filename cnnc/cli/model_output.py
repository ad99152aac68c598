"""The model that a command makes of another one: as ONNX, or compiled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli.console import working
from cnnc.cli.model_source import FileSource, ModelSource
from cnnc.cli.outputs import check_writable, replacing
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.ir import Graph


def check_model_output(output: Path, model: ModelSource, *, kind: str, external_data: bool) -> None:
    """Refuse an output that cannot be written, before minutes of work.

    Args:
        kind: what the example of a good name says of the model: int8, pruned.

    Raises:
        OptionError: it is neither .onnx nor .cnnc, or the model itself, or cannot be written; or only the other kind
            of file has external data.
    """
    if output.suffix not in (".onnx", ".cnnc"):
        hint = f"name it model.{kind}.onnx"
        raise OptionError(f"{output} ends in neither .onnx nor .cnnc", where="--output", hint=hint)
    check_writable(output, "--output")
    if external_data and output.suffix != ".onnx":
        raise OptionError("only an ONNX file has external data", where="--external-data", hint="name the output .onnx")
    if isinstance(model, FileSource) and output.exists() and output.samefile(model.path):
        raise OptionError(f"{output} is the model itself", where="--output", hint="give another name with -o")


def file_bytes(path: Path) -> int:
    """A file's size, with that of the external data beside it."""
    data = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (data.stat().st_size if data.exists() else 0)


def write_model(graph: Graph, output: Path, *, external_data: bool) -> None:
    """Write a graph as the output's ending says; readers see the old file or the whole new one."""
    from cnnc.compiler import compile_graph
    from cnnc.export import export_model
    from cnnc.ir.clone import clone_graph
    from cnnc.options import Options

    with working(f"writing {output.name}"):
        if output.suffix == ".onnx":
            export_model(graph, output, external_data=external_data)
            return
        compiled = compile_graph(clone_graph(graph), Options())
        with replacing(output) as temporary:
            compiled.save(temporary)
