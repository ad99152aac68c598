"""What steps on the host cost a program of a GPU: the bytes that are copied from the device for them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnnc.dims import Dim, evaluate, product, symbols
from cnnc.runtime.program import HostStep, Program, Sizes, Tensor


@dataclass(frozen=True, slots=True)
class HostCopies:
    """One host step.

    Attributes:
        node: the source nodes that it computes.
        op: of the graph.
        to_host, to_device: bytes; None where a size depends on values.
    """

    node: str
    op: str
    to_host: int | None
    to_device: int | None


def host_copies(program: Program, sizes: Mapping[str, int]) -> tuple[HostCopies, ...]:
    """The copies of every host step, for these sizes of the inputs' symbols. Constants are on the host too."""
    found = []
    for step in program.steps:
        if not isinstance(step, HostStep):
            continue
        read = [operand for operand in step.inputs if operand is not None and not isinstance(operand, Sizes)]
        moved = [tensor for tensor in read if program.buffers[tensor.buffer].kind != "constant"]
        written = [output for output in step.outputs if output is not None]
        found.append(HostCopies(step.label, step.op, _bytes(moved, sizes), _bytes(written, sizes)))
    return tuple(found)


def _bytes(tensors: Iterable[Tensor], sizes: Mapping[str, int]) -> int | None:
    total: Dim = 0
    for tensor in tensors:
        total = total + product(tensor.shape) * tensor.dtype.size
    return evaluate(total, sizes) if all(name in sizes for name in symbols(total)) else None
