"""Exercise 5, solved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, ceil_div, floor_div, maximum, product
from cnnc.errors import ModelError
from cnnc.ir import Attrs, Graph, Node, Operands
from cnnc.types import TensorType


def reshaped(shape: Sequence[Dim], target: Sequence[Dim]) -> tuple[Dim, ...]:
    """The shape that ONNX's Reshape gives."""
    sizes = list(target)
    for axis, size in enumerate(target):
        if size == 0:
            if axis >= len(shape):
                raise ModelError(f"there is no axis {axis} to copy")
            sizes[axis] = shape[axis]
    if sizes.count(-1) > 1:
        raise ModelError("several sizes are -1")
    elements = product(shape)
    if -1 in sizes:
        sizes[sizes.index(-1)] = floor_div(elements, product(size for size in sizes if size != -1))
    if product(sizes) != elements:
        raise ModelError(f"{elements} elements cannot be proved to be {product(sizes)}")
    return tuple(sizes)


ARITHMETIC: dict[str, Callable[[Dim, Dim], Dim]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": floor_div,
}


def contents(graph: Graph) -> dict[str, tuple[Dim, ...]]:
    """The elements of every i64 value of rank 0 or 1, as far as they are known."""
    known: dict[str, tuple[Dim, ...]] = {}
    for value in graph.constants:
        if value.type.dtype.value == "i64" and value.type.rank <= 1 and value.array is not None:
            known[value.name] = tuple(value.array.reshape(-1).tolist())
    for node in graph.nodes:
        if node.op == "shape":
            known[node.output.name] = node.input(0).type.shape
        elif node.op in ("gather", "concat", *ARITHMETIC):
            operands = [known.get(value.name) for value in node.inputs if value is not None]
            present = [operand for operand in operands if operand is not None]
            if len(present) == len(operands):
                known[node.output.name] = _elements(node, present)
    return known


def _elements(node: Node, operands: list[tuple[Dim, ...]]) -> tuple[Dim, ...]:
    if node.op == "concat":
        return tuple(size for operand in operands for size in operand)
    left, right = operands
    if node.op == "gather":
        return tuple(left[index] for index in right if isinstance(index, int))
    length = max(len(left), len(right))
    wide = [operand * length if len(operand) == 1 else operand for operand in (left, right)]
    return tuple(ARITHMETIC[node.op](a, b) for a, b in zip(*wide, strict=True))


@dataclass(frozen=True, slots=True)
class EveryAttrs(Attrs):
    """Of the op ``every``, given: first pixel and step for rows and columns."""

    starts: tuple[int, int] = (0, 0)
    strides: tuple[int, int] = (1, 1)


def infer_every(attrs: EveryAttrs, operands: Operands) -> tuple[TensorType, ...]:
    """Type of ``x[:, :, starts[0] :: strides[0], starts[1] :: strides[1]]`` for x [N, C, H, W]."""
    x = operands.need(0).type
    if x.rank != 4:
        raise ModelError(f"every takes [N, C, H, W], got {x}")
    if min(attrs.starts) < 0 or min(attrs.strides) < 1:
        raise ModelError(f"every starts at 0 or later and steps by 1 or more, got {attrs.starts} and {attrs.strides}")
    sizes = zip(x.shape[2:], attrs.starts, attrs.strides, strict=True)
    taken = (maximum(0, ceil_div(size - start, stride)) for size, start, stride in sizes)
    return (TensorType((*x.shape[:2], *taken), x.dtype),)
