"""The NumPy meaning of every op, by op name: the interpreter's truth, and what the runtime runs for the long tail.

A function takes the op's inputs as arrays (None where absent) in ONNX order, and its attributes as keywords; it returns
one array or a tuple. Floats are computed in the dtype of the inputs (f16 and bf16 in f32, rounded once at the end), so
that the same code in float64 is the reference that errors are measured against.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from cnnc.errors import InternalError

_FUNCTIONS: dict[str, str] = {
    **dict.fromkeys(("add", "sub", "mul", "div"), "arithmetic"),
    "elementwise_chain": "elementwise_chain",
    **dict.fromkeys(("conv", "conv_transpose"), "conv"),
    **dict.fromkeys(("max_pool", "average_pool", "lp_pool", "max_unpool"), "pool"),
    **dict.fromkeys(("global_average_pool", "global_max_pool", "global_lp_pool"), "pool"),
    **dict.fromkeys(("batch_normalization", "scale_shift", "instance_normalization"), "normalization"),
    **dict.fromkeys(("group_normalization", "layer_normalization", "rms_normalization"), "normalization"),
    **dict.fromkeys(("lp_normalization", "mean_variance_normalization", "lrn"), "normalization"),
}
"""Op name -> module of this package that defines a function of that name."""


def function(name: str) -> Callable[..., Any]:
    """The NumPy function of an op.

    Raises:
        InternalError: no such op; artifacts are checked with ``has_function`` before anything runs.
    """
    module = _FUNCTIONS.get(name)
    if module is None:
        raise InternalError(f"no host function is called {name!r}")
    found: Callable[..., Any] = getattr(importlib.import_module(f"cnnc.runtime.host.{module}"), name)
    return found


def has_function(name: str) -> bool:
    """Whether ``function(name)`` would succeed."""
    return name in _FUNCTIONS
