"""Frontends: what turns a model into a graph of the IR."""

from cnnc.frontends.onnx import import_onnx

if __name__ != "cnnc.frontends":
    raise ImportError("import this package as cnnc.frontends: under two names it would be two packages")

__all__ = ["import_onnx"]
