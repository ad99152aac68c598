"""The table of instructions that work lane by lane: one vector operation over the 32 lanes of a warp.

What is emitted gives NumPy's results bit for bit, except for the payload of NaN.
"""

from __future__ import annotations

from cnnc.ptx.module import Instruction
from cnnc.ptx.native import lane_arithmetic, lane_bits, lane_moves
from cnnc.ptx.native.vectors import Operation

_RULES = {**lane_arithmetic.RULES, **lane_bits.RULES, **lane_moves.RULES}


def operation_of(instruction: Instruction) -> Operation | None:
    """What the instruction computes, None if it is not lane-wise or not known here."""
    rule = _RULES.get(instruction.opcode)
    return None if rule is None else rule(instruction)
