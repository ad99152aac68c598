"""Element-wise ops and chains of them on GPUs: one ``elementwise.chain`` kernel, compiled for the chain."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.elementwise import elementwise_rules
from cnnc.lower.elementwise_operands import Read, buffers_of, result_of
from cnnc.lower.elementwise_steps import kernel_steps
from cnnc.ops.elementwise_chain import ChainStep
from cnnc.runtime.cuda.chain_text import LETTERS, Chain
from cnnc.runtime.cuda.elementwise_chain import iteration
from cnnc.runtime.kernel import Variant


def _emit(node: Node, builder: ProgramBuilder, reads: Sequence[Read | float], steps: Sequence[ChainStep]) -> None:
    """One kernel that computes ``steps`` over ``reads`` into the node's output."""
    memory, scalar_steps = kernel_steps(reads, steps)
    output = node.output.type
    y = builder.result(node.output, gaps=True)
    found = iteration(output.physical_shape, [read.operand for read in memory], result_of(node, builder))
    kinds = tuple(LETTERS[read.kind] + step for read, step in zip(memory, found.steps, strict=True))
    chain = Chain(kinds, LETTERS[output.dtype.value], tuple(scalar_steps))
    variant = Variant.of("elementwise.chain", chain=str(chain), rank=found.rank)
    builder.kernel_step(node, [builder.call(variant, buffers_of(node, builder, memory) | {"y": y}, found.sizes)])


RULES = elementwise_rules("elementwise.chain", _emit)
