"""Exercise 5: a proof, a propagation, and an inference rule.

Replace the bodies, then: python examples/course.py check 5
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim
from cnnc.ir import Attrs, Graph, Operands
from cnnc.types import TensorType


def reshaped(shape: Sequence[Dim], target: Sequence[Dim]) -> tuple[Dim, ...]:
    """The shape that ONNX's Reshape gives.

    A 0 in ``target`` copies the size of ``shape`` at the same axis. One -1 stands for what is left. The number of
    elements must be provably the same: the products of both shapes are equal polynomials.

    Raises:
        cnnc.errors.ModelError: there are several -1, a 0 has no axis to copy, or the number of elements is not
            provably the same, for instance where -1 would stand for a quotient that leaves a rest for some sizes.
    """
    raise NotImplementedError("exercise: cnnc.dims.product gives the product of a shape; // and == work on symbols")


def contents(graph: Graph) -> dict[str, tuple[Dim, ...]]:
    """The elements of every i64 value of rank 0 or 1, by name, as far as they follow from constants and shapes.

    Know the constants (``value.array``) and these ops: ``shape`` (of any tensor: ``value.type.shape``), ``gather``
    along axis 0 (indices below 0 count from the end), ``concat`` along axis 0, and ``add``, ``sub``, ``mul``, ``div``
    of two values, element by element, where a value of one element goes with every element of the other. Sizes are
    not negative, so ``div`` rounds down. What depends on anything else is left out of the dict.

    Do not read ``value.content``: the check has emptied it.
    """
    raise NotImplementedError("exercise: walk graph.nodes once, and keep what is known in a dict")


@dataclass(frozen=True, slots=True)
class EveryAttrs(Attrs):
    """Of the op ``every``, given: first pixel and step for rows and columns."""

    starts: tuple[int, int] = (0, 0)
    strides: tuple[int, int] = (1, 1)


def infer_every(attrs: EveryAttrs, operands: Operands) -> tuple[TensorType, ...]:
    """Type of ``x[:, :, starts[0] :: strides[0], starts[1] :: strides[1]]`` for x [N, C, H, W]: the op ``every``.

    Right for every H and W, those below the start too, and as simple as can be: 6*K rows from 0 in steps of 3 are
    2*K. ``operands.need(0).type`` is the type of x; element types are kept.

    Raises:
        cnnc.errors.ModelError: x has not four axes, a start is negative, or a stride is below 1.
    """
    raise NotImplementedError("exercise: return a tuple of one TensorType; cnnc.dims has ceil_div and maximum")
