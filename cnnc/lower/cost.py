"""The cost model's time of a layer: multiply-adds, bytes from each level of the memory, overhead of a call."""

from __future__ import annotations

from cnnc.dims import evaluate, symbols
from cnnc.ir import Node, Value
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.spatial import TYPICAL_SIZE
from cnnc.runtime.cpu.machine import CALL_SECONDS
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.target import is_cuda

HIDDEN = 0.7
"""Share of the shorter of computing and moving bytes that the longer one hides."""


def predicted_seconds(node: Node, cost: float, builder: ProgramBuilder, reads_weights: bool = False) -> float:
    """Seconds of a way to lower a node, on one core or on the device that stands for a GPU architecture.

    Computing takes ``cost``, in vector multiply-adds. Activations come from and go to the smallest cache that holds
    those of the node; constants are read once a run, from the smallest cache that holds all of the model's.

    Args:
        cost: what the tiling is estimated to cost, including what it moves beyond its operands.
        reads_weights: whether that includes reading the constants, as of ``TiledRule``.
    """
    if is_cuda(builder.target):
        # Costs of GPU kernels are whole times already, in multiply-adds of the device.
        return 2 * builder.target.lanes * cost / facts_of(builder.target).flops
    machine = builder.machine
    computing = cost * machine.fma_seconds(builder.target.lanes)
    operands = dict.fromkeys(value for value in (*node.inputs, *node.outputs) if value is not None)
    activations = sum(_byte_size(value) for value in operands if not value.is_constant)
    moving = activations / machine.bandwidth(activations)
    if not reads_weights:
        constants = sum(_byte_size(value) for value in operands if value.is_constant)
        moving += constants / _constant_bandwidth(builder)
    return _overlapped(computing, moving) + CALL_SECONDS


def cost_with_weights(cost: float, weight_bytes: int, builder: ProgramBuilder) -> float:
    """``cost`` and the reading of weights, in vector multiply-adds: for rules that differ in how much they read."""
    fma_seconds = builder.machine.fma_seconds(builder.target.lanes)
    return _overlapped(cost, weight_bytes / _constant_bandwidth(builder) / fma_seconds)


def _overlapped(computing: float, moving: float) -> float:
    return max(computing, moving) + (1 - HIDDEN) * min(computing, moving)


def _constant_bandwidth(builder: ProgramBuilder) -> float:
    return builder.machine.bandwidth(
        sum(value.array.nbytes for value in builder.graph.constants if value.array is not None)
    )


def _byte_size(value: Value) -> int:
    """Physical bytes at typical sizes."""
    size = value.type.bytes
    names = {name for axis, dim in enumerate(value.type.shape) for name in symbols(dim) if axis == 0}
    return evaluate(size, {name: 1 if name in names else TYPICAL_SIZE for name in symbols(size)})
