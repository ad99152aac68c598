"""The ``cnnc`` command: one module a command, and the pieces they share, by idea.

Commands import what they need when they run, so ``cnnc --help`` loads neither numba nor onnx nor numpy.
"""

from __future__ import annotations

from cnnc.cli.group import main

__all__ = ["main"]
