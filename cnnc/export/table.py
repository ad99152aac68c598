"""Which exporter writes which op. Ops that are not here are ONNX operators of the same name, inputs and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnc.errors import UnsupportedError
from cnnc.export import activations, layers, quantized, redefined, rewritten
from cnnc.export.generic import export_same
from cnnc.export.writer import Exporter
from cnnc.extension_points import ExtensionPoint
from cnnc.ops import OPS

EXPORTERS: Mapping[str, Exporter] = {
    **activations.EXPORTERS,
    **layers.EXPORTERS,
    **quantized.EXPORTERS,
    **redefined.EXPORTERS,
    **rewritten.EXPORTERS,
}
"""Ops that need more than one node, or whose attributes are not ONNX's."""

REFUSED: Mapping[str, str] = {
    "convert_layout": "it only says where the elements of a tensor lie in memory, for which ONNX has no words",
}
"""Ops that cannot be written, and why."""


def _refusal(name: str, thing: Any) -> str | None:
    return None if callable(thing) else f"a {type(thing).__name__} cannot be called"


EXTENSIONS: ExtensionPoint[Exporter] = ExtensionPoint(
    "cnnc.onnx_exporters", "ONNX exporter", _refusal, own=lambda: OPS.own().keys()
)
"""Exporters of other packages, by the op that they write."""


def find_exporter(op: str) -> Exporter:
    """The exporter of an op.

    Raises:
        UnsupportedError: ONNX has no words for the op.
        ExtensionError: the package that offers it is broken.
    """
    if op in REFUSED:
        raise UnsupportedError(f"{op} cannot be exported: {REFUSED[op]}", hint="export the graph before it is placed")
    if op in OPS.own():
        return EXPORTERS.get(op, export_same)
    added = EXTENSIONS.find(op)
    if added is None:
        raise UnsupportedError(f"no exporter writes {op}", hint="its package must offer one, see docs/extending.md")
    return added
