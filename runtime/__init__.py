"""The runtime: programs, planning, worker threads, artifacts, and ``InferenceSession``.

Lazy (PEP 562): importing the package loads neither numba, llvmlite, onnx nor networkx; with all kernels cached or
embedded none of them is loaded at all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if __name__ != "cnnc.runtime":
    raise ImportError("import this package as cnnc.runtime: under two names it would be two packages")

if TYPE_CHECKING:
    from cnnc.runtime.artifact import load_artifact, save_artifact
    from cnnc.runtime.executable import Executable
    from cnnc.runtime.program import Program
    from cnnc.runtime.session import InferenceSession, ModelMetadata, NodeArg, SessionOptions

_LAZY = {
    "Executable": "executable",
    "InferenceSession": "session",
    "ModelMetadata": "session",
    "NodeArg": "session",
    "Program": "program",
    "SessionOptions": "session",
    "load_artifact": "artifact",
    "save_artifact": "artifact",
}
__all__ = [
    "Executable",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "Program",
    "SessionOptions",
    "load_artifact",
    "save_artifact",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'cnnc.runtime' has no attribute {name!r}")
    return getattr(importlib.import_module(f"cnnc.runtime.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
