"""Which exporter writes which op. Ops that are not here are ONNX operators of the same name, inputs and attributes."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.errors import UnsupportedError
from cnnc.export import activations, layers, quantized, redefined, rewritten
from cnnc.export.generic import export_same
from cnnc.export.writer import Exporter

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


def find_exporter(op: str) -> Exporter:
    """The exporter of an op.

    Raises:
        UnsupportedError: ONNX has no words for the op.
    """
    if op in REFUSED:
        raise UnsupportedError(f"{op} cannot be exported: {REFUSED[op]}", hint="export the graph before it is placed")
    return EXPORTERS.get(op, export_same)
