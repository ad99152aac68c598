"""cnnc: a compiler and inference runtime for convolutional networks.

The package is lazy (PEP 562): ``import cnnc`` and ``import cnnc.runtime`` load neither the compiler nor onnx, numba,
llvmlite or networkx. Names are resolved on first use.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel, compile, tune
    from cnnc.explanation import explain
    from cnnc.exporting import export_onnx
    from cnnc.pruning import prune, prune_channels
    from cnnc.quantization import quantize

__version__ = "0.1.0"
__all__ = [
    "CompiledModel",
    "__version__",
    "compile",
    "explain",
    "export_onnx",
    "prune",
    "prune_channels",
    "quantize",
    "tune",
]

_LAZY = {
    "compile": "cnnc.compiler",
    "CompiledModel": "cnnc.compiler",
    "explain": "cnnc.explanation",
    "export_onnx": "cnnc.exporting",
    "prune": "cnnc.pruning",
    "prune_channels": "cnnc.pruning",
    "quantize": "cnnc.quantization",
    "tune": "cnnc.compiler",
}

# In a bare clone passes/, frontends/ and runtime/ lie beside this package instead of inside it.
_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "passes" / "__init__.py").is_file():
    __path__.append(str(_ROOT))


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'cnnc' has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
