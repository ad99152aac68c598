"""The ONNX exporter: ``export_graph`` turns a graph of the IR into a model, the inverse of ``cnnc.frontends.onnx``.

``model`` walks the graph, ``table`` says which exporter writes which op, ``writer`` is what exporters write with, and
``opset`` finds the oldest opset that has all operators. ``export_model`` also writes files, external data included.
"""

from cnnc.export.file import export_model
from cnnc.export.model import export_graph

__all__ = ["export_graph", "export_model"]
