"""The tape of ``elementwise.tape``: a chain of element-wise ops as a small table of integers.

A tape is an int64 array that lowering puts into a constant buffer:

    header        inputs, outputs, constants, instructions; then one kind per input and output operand (12 words)
    constants     slot, float32 bits                                                            (2 words each)
    instructions  opcode, destination slot, slots of up to three operands, parameters           (6 words each)

Slots 0..7 are the inputs, 8..11 the outputs, the others temporaries: each a tile of float32. Booleans are 0.0 and 1.0
inside a tile and one byte in memory. The two float32 parameters of an instruction share one word, alpha the low half.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InternalError

MAX_INPUTS, MAX_OUTPUTS, MAX_TEMPORARIES = 8, 4, 20
FIRST_OUTPUT, FIRST_TEMPORARY = MAX_INPUTS, MAX_INPUTS + MAX_OUTPUTS
SLOTS = FIRST_TEMPORARY + MAX_TEMPORARIES
HEADER_WORDS, CONSTANT_WORDS, INSTRUCTION_WORDS = 4 + FIRST_TEMPORARY, 2, 6

KINDS = ("f32", "bool")
"""Element types of operands in memory; the index is the word in the header."""

ARITY = {
    "copy": 1,
    "neg": 1,
    "abs": 1,
    "sqrt": 1,
    "square": 1,
    "reciprocal": 1,
    "floor": 1,
    "ceil": 1,
    "round": 1,
    "sign": 1,
    "relu": 1,
    "clip": 1,
    "leaky_relu": 1,
    "hard_sigmoid": 1,
    "hard_swish": 1,
    "softsign": 1,
    "thresholded_relu": 1,
    "shrink": 1,
    "exp": 1,
    "log": 1,
    "sigmoid": 1,
    "tanh": 1,
    "erf": 1,
    "elu": 1,
    "selu": 1,
    "celu": 1,
    "swish": 1,
    "mish": 1,
    "gelu": 1,
    "gelu_tanh": 1,
    "softplus": 1,
    "not": 1,
    "is_nan": 1,
    "is_inf": 1,
    "add": 2,
    "sub": 2,
    "mul": 2,
    "div": 2,
    "min": 2,
    "max": 2,
    "pow": 2,
    "prelu": 2,
    "equal": 2,
    "less": 2,
    "greater": 2,
    "less_or_equal": 2,
    "greater_or_equal": 2,
    "and": 2,
    "or": 2,
    "xor": 2,
    "where": 3,
    "fma": 3,
}
"""Opcode names in order of their numbers, and how many operands each takes.

Parameters alpha, beta: clip lower and upper bound; leaky_relu, elu, celu, thresholded_relu, swish alpha; hard_sigmoid
alpha, beta; selu alpha, gamma; shrink bias, lambd; is_inf detect_negative, detect_positive. fma is a*b + c, prelu takes
the slopes as operand b.
"""

OPCODES = {name: number for number, name in enumerate(ARITY)}


@dataclass(frozen=True, slots=True)
class TapeStep:
    """One op. An int operand is a value: inputs first, then the results of earlier steps; a float is a constant."""

    op: str
    operands: tuple[int | float, ...]
    alpha: float = 0.0
    beta: float = 0.0


def encode_tape(
    inputs: Sequence[str], steps: Sequence[TapeStep], outputs: Sequence[tuple[int, str]]
) -> NDArray[np.int64]:
    """The tape that computes ``steps``; ``inputs`` are kinds, ``outputs`` values with their kinds.

    Outputs are written only after the last instruction that reads an input, so that an output may share its memory
    with an input whose elements lie alike.

    Raises:
        InternalError: too many operands or live temporaries, an unknown op, a wrong operand count, an undefined value.
    """
    if len(inputs) > MAX_INPUTS or not 1 <= len(outputs) <= MAX_OUTPUTS:
        raise InternalError(f"a tape of {len(inputs)} inputs and {len(outputs)} outputs")
    check_steps(len(inputs), steps)
    steps, results = _with_copies(len(inputs), list(steps), [value for value, _ in outputs])
    slots = _Slots(len(inputs), steps, results)
    instructions: list[int] = []
    for position, step in enumerate(steps):
        operands = [slots.read(operand, position) for operand in step.operands]
        operands += [operands[0]] * (3 - len(operands))
        parameters = _bits(step.alpha) | _bits(step.beta) << 32
        instructions += [OPCODES[step.op], slots.write(position), *operands, _signed(parameters)]
    constants = [word for bits, slot in slots.constants.items() for word in (slot, bits)]
    kinds = [KINDS.index(kind) for kind in inputs] + [0] * (MAX_INPUTS - len(inputs))
    kinds += [KINDS.index(kind) for _, kind in outputs] + [0] * (MAX_OUTPUTS - len(outputs))
    header = [len(inputs), len(outputs), len(slots.constants), len(steps), *kinds]
    return np.array(header + constants + instructions, np.int64)


def check_steps(inputs: int, steps: Sequence[TapeStep]) -> None:
    """Raise InternalError for an unknown op, a wrong number of operands or a value that is not computed before."""
    for position, step in enumerate(steps):
        if step.op not in ARITY:
            raise InternalError(f"elementwise.tape has no op {step.op!r}")
        if len(step.operands) != ARITY[step.op]:
            raise InternalError(f"{step.op} takes {ARITY[step.op]} operands, got {len(step.operands)}")
        if any(isinstance(operand, int) and not 0 <= operand < inputs + position for operand in step.operands):
            raise InternalError(f"{step.op} reads a value that is not computed before it: {step.operands}")


def _with_copies(inputs: int, steps: list[TapeStep], outputs: list[int]) -> tuple[list[TapeStep], list[int]]:
    """Steps such that every output is the result of a step of its own, none followed by a read of an input."""

    def copy(value: int) -> int:
        steps.append(TapeStep("copy", (value,)))
        return inputs + len(steps) - 1

    results = [copy(value) if value < inputs else value for value in outputs]
    last_read = max(
        (at for at, step in enumerate(steps) if any(_is_input(operand, inputs) for operand in step.operands)),
        default=-1,
    )
    for at, value in enumerate(results):
        if value - inputs < last_read or value in results[:at]:
            results[at] = copy(value)
    return steps, results


def _is_input(operand: int | float, inputs: int) -> bool:
    return isinstance(operand, int) and operand < inputs


class _Slots:
    """Slots of values, constants and temporaries; a temporary is free again behind its last reader."""

    def __init__(self, inputs: int, steps: Sequence[TapeStep], outputs: Sequence[int]) -> None:
        self._inputs = inputs
        self._outputs = {value: FIRST_OUTPUT + position for position, value in enumerate(outputs)}
        self._last: dict[int, int] = {}
        self.constants: dict[int, int] = {}
        for position, step in enumerate(steps):
            for operand in step.operands:
                if isinstance(operand, int):
                    self._last[operand] = position
                else:
                    self.constants.setdefault(_bits(operand), FIRST_TEMPORARY + len(self.constants))
        self._free = list(range(SLOTS - 1, FIRST_TEMPORARY + len(self.constants) - 1, -1))
        self._places: dict[int, int] = {}

    def read(self, operand: int | float, position: int) -> int:
        if not isinstance(operand, int):
            return self.constants[_bits(operand)]
        if operand < self._inputs:
            return operand
        slot = self._places[operand]
        if self._last[operand] == position and slot >= FIRST_TEMPORARY and slot not in self._free:
            self._free.append(slot)
        return slot

    def write(self, position: int) -> int:
        value = self._inputs + position
        if value not in self._outputs and not self._free:
            raise InternalError(f"a tape needs more than {MAX_TEMPORARIES} temporaries and constants")
        slot = self._outputs[value] if value in self._outputs else self._free.pop()
        self._places[value] = slot
        if value not in self._outputs and value not in self._last:
            self._free.append(slot)
        return slot


def _bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
