"""The ONNX reader: ``import_onnx`` turns a model into a graph of the IR.

``reader`` parses bytes, ``tensors`` decodes weights, ``inputs`` types the graph inputs, ``order`` sorts the nodes,
``importer`` walks them, and ``table`` says which converter handles which operator; the converters themselves lie in one
module per operator family.
"""

from cnnc.frontends.onnx.importer import import_onnx

if __name__ != "cnnc.frontends.onnx":
    raise ImportError("import this package as cnnc.frontends.onnx")

__all__ = ["import_onnx"]
