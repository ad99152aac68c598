"""Element-wise functions beside the operators of ``Tensor``, dropout, casts, and names."""

from __future__ import annotations

import numpy as np

from cnnc.frontends.dsl.call_site import refusal
from cnnc.frontends.dsl.constant import Constant
from cnnc.frontends.dsl.module import as_layer
from cnnc.frontends.dsl.tensor import Operand, Tensor
from cnnc.frontends.dsl.trace import trace_of
from cnnc.ops.conversion import CastAttrs
from cnnc.ops.layout import DropoutAttrs
from cnnc.types import DType


def add(a: Operand, b: Operand) -> Tensor:
    """a + b, broadcast: what joins the branches of a residual block."""
    return _binary("add", a, b)


def mul(a: Operand, b: Operand) -> Tensor:
    """a * b, broadcast."""
    return _binary("mul", a, b)


def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger of each two elements, broadcast."""
    return _binary("max", a, b)


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of each two elements, broadcast."""
    return _binary("min", a, b)


def exp(x: Tensor) -> Tensor:
    """e to the power of x."""
    return trace_of(x).emit("exp", [x])


def log(x: Tensor) -> Tensor:
    """Natural logarithm."""
    return trace_of(x).emit("log", [x])


def sqrt(x: Tensor) -> Tensor:
    """Square root."""
    return trace_of(x).emit("sqrt", [x])


def absolute(x: Tensor) -> Tensor:
    """|x|."""
    return trace_of(x).emit("abs", [x])


def where(condition: Tensor, a: Operand, b: Operand) -> Tensor:
    """a where the condition holds, b elsewhere, broadcast."""
    like = next((item for item in (a, b) if isinstance(item, Tensor)), None)
    return trace_of(condition).emit("where", [condition, a, b], like=like)


def cast(x: Tensor, dtype: str) -> Tensor:
    """x as another element type, by NumPy's name: ``cast(image, "float32")``.

    Raises:
        ModelError: cnnc has no such type.
    """
    return trace_of(x).emit("cast", [x], CastAttrs(to=dtype_named(dtype)))


def dropout(x: Tensor, ratio: float = 0.5) -> Tensor:
    """x itself: nothing is dropped at inference. The node stays in exported models, with its ratio.

    Raises:
        ModelError: the ratio is not in 0..1.
    """
    if not 0 <= ratio < 1:
        raise refusal(f"ratio={ratio} must be at least 0 and below 1")
    return trace_of(x).emit("dropout", [x, Constant(np.asarray(ratio, np.float32), "ratio")], DropoutAttrs())


def name(x: Tensor, text: str) -> Tensor:
    """Call a tensor ``text``, in the graph, in exports and for ``capture=``; returns it.

    Raises:
        ModelError: another tensor has the name.
    """
    trace_of(x).give_name(x, text)
    return x


def dtype_named(dtype: str) -> DType:
    """The element type of NumPy's name.

    Raises:
        ModelError: cnnc has no such type.
    """
    for known in DType:
        if dtype in (known.value, "bfloat16" if known is DType.BF16 else known.numpy.name):
            return known
    raise refusal(f"there is no element type {dtype!r}", hint=f"use one of {', '.join(known.value for known in DType)}")


def _binary(op: str, a: Operand, b: Operand) -> Tensor:
    trace = trace_of(a, b)
    return trace.emit(op, [a, b], like=next(item for item in (a, b) if isinstance(item, Tensor)))


Dropout = as_layer(dropout)
