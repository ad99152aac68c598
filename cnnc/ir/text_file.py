"""Text IR in files: ``name.ir`` with the text, and ``name.npz`` beside it with the constants it gives by hash."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np

from cnnc.errors import ModelError
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.table import OpTable
from cnnc.ir.text import print_apart, print_graph
from cnnc.ir.text_parser import MAX_TEXT, parse_graph
from cnnc.types import DType

MAX_DUMPED_BYTES = 64 << 20
"""A dump for a bug report leaves out the constants when they are larger than this in all."""

_BF16 = ".bf16"


def save_graph(graph: Graph, path: Path) -> None:
    """Write ``path`` (text) and, where it has large constants, ``path`` with the suffix ``.npz``."""
    text, constants = print_apart(graph)
    path.write_text(text, encoding="utf-8")
    arrays: dict[str, Array] = {}
    for key, array in constants.items():
        # The .npy format has no bfloat16: its bits are stored.
        is_bf16 = DType.of(array.dtype) is DType.BF16
        arrays[key + _BF16 if is_bf16 else key] = array.view(np.uint16) if is_bf16 else array
    if arrays:
        np.savez(path.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]


def load_graph(path: Path, table: OpTable) -> Graph:
    """Read what ``save_graph`` wrote.

    Raises:
        ModelError: the text is not a graph, or the constants beside it are not readable or not the right ones.
    """
    if path.stat().st_size > MAX_TEXT:
        raise ModelError(f"the file has more than {MAX_TEXT} bytes", where=str(path), hint="is it a text IR file?")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError("the file is not UTF-8 text", where=str(path), hint="is it a text IR file?") from error
    constants: dict[str, Array] = {}
    beside = path.with_suffix(".npz")
    if beside.exists():
        constants = _load_constants(beside)
    try:
        return parse_graph(text, table, constants)
    except ModelError as error:
        raise ModelError(error.what, where=f"{path}, {error.where}", hint=error.hint) from error


def _load_constants(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError("the constants beside the text are not an .npz file", where=str(path)) from error
    return {
        name.removesuffix(_BF16): array.view(DType.BF16.numpy) if name.endswith(_BF16) else array
        for name, array in stored.items()
    }


def dump_graph(graph: Graph, label: str) -> Path:
    """Save a graph for a bug report in a new folder under the system's temporary folder; returns the .ir file."""
    path = Path(tempfile.mkdtemp(prefix="cnnc-")) / f"{label}.ir"
    size = sum(value.array.nbytes for value in graph.constants if value.array is not None)
    if size <= MAX_DUMPED_BYTES:
        save_graph(graph, path)
    else:
        path.write_text(print_graph(graph), encoding="utf-8")
    return path
