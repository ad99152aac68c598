"""``OpDef``: everything the compiler knows of an op, in one place.

An op's NumPy meaning lives one tier down in ``cnnc.runtime.host`` under the op's own name, because the runtime runs the
long tail of ops with it; ``OpDef.reference`` points there. A compiled kernel, where there is one, is chosen in
``cnnc.lower``.

Unless its definition says otherwise, an IR op is the newest version of the ONNX operator whose name it is in snake
case: same inputs in the same order, same attribute names and defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.dims import Dim, product
from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ir.fact import MAX_KNOWN_ELEMENTS, Array, Content, Fact, Operands
from cnnc.types import DType, TensorType

Infer = Callable[[Any, Operands], tuple[TensorType, ...]]
Fold = Callable[[Any, Operands], Content | None]
Cost = Callable[[Any, Sequence[TensorType | None], Sequence[TensorType]], Dim]


@dataclass(frozen=True)
class OpDef:
    """An op of the IR.

    Args:
        name: name in the text form; also the name of its reference in ``cnnc.runtime.host``.
        infer: output types from attributes and operand facts; raises ModelError on operands that make no sense.
        attrs: its attribute class.
        inputs: smallest and largest number of inputs; None for any number.
        outputs: smallest and largest number of outputs; None for any number.
        fold: content of the first output (rank 0 or 1), or None where it cannot be known; symbols stand for
            whole numbers of any dtype, plain numbers are cast to it (a decided comparison is 0 or 1).
        macs: multiply-accumulates as an expression over the shapes; None counts as 0.
        elementwise: each output element depends on the broadcast input elements at its place only.
        follows_layout: an op of another package whose kernel computes it element by element in blocked layout too, on
            operands that all lie alike: no conversion stands before it then, and the host cannot run it there.
        data_dependent: output shapes may depend on values.
        deterministic: False for ops that must not be folded or merged (random numbers).
    """

    name: str
    infer: Infer
    attrs: type[Attrs] = Attrs
    inputs: tuple[int, int | None] = (1, 1)
    outputs: tuple[int, int | None] = (1, 1)
    fold: Fold | None = None
    macs: Cost | None = None
    elementwise: bool = False
    follows_layout: bool = False
    data_dependent: bool = False
    deterministic: bool = True

    def infer_types(self, attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
        """Types of the outputs, after a check of the operand count and the attribute class."""
        low, high = self.inputs
        if len(operands) < low or (high is not None and len(operands) > high):
            wanted = f"{low}" if low == high else f"{low} to {high if high is not None else 'any number of'}"
            raise ModelError(f"{self.name} takes {wanted} inputs, got {len(operands)}")
        if type(attrs) is not self.attrs:
            raise ModelError(f"{self.name} takes {self.attrs.__name__}, got {type(attrs).__name__}")
        return self.infer(attrs, operands)

    def reference(self, attrs: Attrs, arrays: Sequence[Array | None]) -> tuple[Array, ...]:
        """The op's meaning on arrays: calls ``cnnc.runtime.host`` with the attributes as keywords."""
        from cnnc.runtime import host

        with np.errstate(all="ignore"):
            result = host.function(self.name)(*arrays, **attrs.keywords())
        return result if isinstance(result, tuple) else (np.asarray(result),)

    def evaluate(
        self, attrs: Attrs, facts: Sequence[Fact | None], outputs: tuple[TensorType, ...]
    ) -> list[Array | Content | None]:
        """Content of each output known now: symbolically by ``fold``, or by running the reference on small arrays."""
        unknown: list[Array | Content | None] = [None] * len(outputs)
        if self.fold is not None:
            content = self.fold(attrs, Operands(facts, outputs=len(outputs)))
            # Plain numbers of a float type are left to the reference, which knows rounding and -0.0.
            if content is not None and not (content.is_number and outputs[0].dtype.is_float):
                known = content.array().astype(outputs[0].dtype.numpy) if content.is_number else content
                return [known, *unknown[1:]]
        if not self.deterministic or any(not _is_small(type) for type in outputs):
            return unknown
        arrays: list[Array | None] = []
        for fact in facts:
            if fact is None:
                arrays.append(None)
            elif fact.array is not None and fact.array.size <= MAX_KNOWN_ELEMENTS:
                arrays.append(fact.array)
            else:
                return unknown
        if not arrays:
            return unknown
        results = self.reference(attrs, arrays)
        return [np.asarray(result) for result in results[: len(outputs)]]


def _is_small(type: TensorType) -> bool:
    elements = product(type.shape)
    return isinstance(elements, int) and elements <= MAX_KNOWN_ELEMENTS


def same_type(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    """Infer rule: one output of the type of the first input, content and quantization aside."""
    first = operands.need(0).type
    return (TensorType(first.shape, first.dtype, first.layout),)


def broadcast_shapes(*shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """NumPy broadcasting over symbolic shapes.

    Two different symbolic sizes broadcast to their maximum: one of them must then be 1 or both equal at run time.

    Raises:
        ModelError: two known sizes differ and neither is 1.
    """
    from cnnc.dims import maximum

    rank = max((len(shape) for shape in shapes), default=0)
    result: list[Dim] = []
    for axis in range(rank):
        size: Dim = 1
        for shape in shapes:
            offset = axis - (rank - len(shape))
            if offset < 0 or shape[offset] == 1 or shape[offset] == size:
                continue
            other = shape[offset]
            if size == 1:
                size = other
            elif isinstance(size, int) and isinstance(other, int):
                raise ModelError(f"shapes {_show(shapes)} do not broadcast: {size} against {other}")
            elif isinstance(size, int) or isinstance(other, int):
                size = size if isinstance(size, int) else other
            else:
                size = maximum(size, other)
        result.append(size)
    return tuple(result)


def _show(shapes: Sequence[tuple[Dim, ...]]) -> str:
    return " and ".join(f"[{', '.join(map(str, shape))}]" for shape in shapes)


def normalize_axis(axis: int, rank: int) -> int:
    """Axis counted from the front.

    Raises:
        ModelError: outside -rank..rank-1.
    """
    if not -rank <= axis < max(rank, 1):
        raise ModelError(f"axis {axis} is outside a tensor of rank {rank}")
    return axis + rank if axis < 0 else axis


def require_dtype(fact: Fact, allowed: Sequence[DType], what: str) -> None:
    """Refuse an element type that the op is not defined for."""
    if fact.dtype not in allowed:
        names = ", ".join(dtype.value for dtype in allowed)
        raise ModelError(f"{what} must be one of {names}, got {fact.dtype.value}")


__all__ = [
    "NO_ATTRS",
    "Attrs",
    "Content",
    "Fact",
    "OpDef",
    "Operands",
    "TensorType",
    "UnsupportedError",
    "broadcast_shapes",
    "normalize_axis",
    "require_dtype",
    "same_type",
]
