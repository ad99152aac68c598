"""Element-wise ops and chains of them on CPUs: one ``elementwise.tape`` instruction."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.elementwise import elementwise_rules
from cnnc.lower.elementwise_operands import Read, buffers_of, result_of
from cnnc.lower.elementwise_steps import kernel_steps
from cnnc.ops.elementwise_chain import ChainStep
from cnnc.runtime.cpu import elementwise_tape
from cnnc.runtime.cpu.tape_encoding import MAX_OUTPUTS, encode_tape
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg


def _emit(node: Node, builder: ProgramBuilder, reads: Sequence[Read | float], steps: Sequence[ChainStep]) -> None:
    """One tape that computes ``steps`` over ``reads`` into the node's output."""
    memory, tape = kernel_steps(reads, steps)
    output = node.output.type
    result = len(memory) + len(tape) - 1
    words = encode_tape([read.kind for read in memory], tape, [(result, output.dtype.value)])
    y = builder.result(node.output, gaps=True)
    operands, target = [read.operand for read in memory], result_of(node, builder)
    sizes = elementwise_tape.arguments(output.physical_shape, operands, [target], len(words))
    buffers = buffers_of(node, builder, memory) | {f"y{index}": 0 for index in range(MAX_OUTPUTS)}
    buffers |= {"tape": BufferArg(builder.constant(words, f"{node.name}.tape")), "y0": y}
    builder.kernel_step(node, [builder.call(Variant.of("elementwise.tape"), buffers, sizes)])


RULES = elementwise_rules("elementwise.tape", _emit)
