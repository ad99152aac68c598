"""The cost model's time of a layer: multiply-adds, bytes from each level of the memory, overhead of a call."""

from __future__ import annotations

from cnnc.dims import evaluate, symbols
from cnnc.ir import Node, Value
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.spatial import TYPICAL_SIZE
from cnnc.runtime.cpu.machine import CALL_SECONDS

HIDDEN = 0.7
"""Share of the shorter of computing and moving bytes that the longer one hides."""


def predicted_seconds(node: Node, cost: float, builder: ProgramBuilder) -> float:
    """Seconds of a way to lower a node, on one core.

    Computing takes ``cost``, in vector multiply-adds. Activations come from and go to the smallest cache that holds
    those of the node; constants are read once a run, from the smallest cache that holds all of the model's.

    Args:
        cost: what the tiling is estimated to cost, including what it moves beyond its operands.
    """
    machine = builder.machine
    computing = cost * machine.fma_seconds(builder.target.lanes)
    operands = dict.fromkeys(value for value in (*node.inputs, *node.outputs) if value is not None)
    constants = sum(_byte_size(value) for value in operands if value.is_constant)
    activations = sum(_byte_size(value) for value in operands if not value.is_constant)
    all_constants = sum(value.array.nbytes for value in builder.graph.constants if value.array is not None)
    moving = activations / machine.bandwidth(activations) + constants / machine.bandwidth(all_constants)
    return max(computing, moving) + (1 - HIDDEN) * min(computing, moving) + CALL_SECONDS


def _byte_size(value: Value) -> int:
    """Physical bytes at typical sizes."""
    size = value.type.bytes
    names = {name for axis, dim in enumerate(value.type.shape) for name in symbols(dim) if axis == 0}
    return evaluate(size, {name: 1 if name in names else TYPICAL_SIZE for name in symbols(size)})
