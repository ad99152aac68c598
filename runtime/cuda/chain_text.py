"""A chain of element-wise ops as a line of text: the compile-time parameter of ``elementwise.chain``.

    f1 f0 b* > f: sub 0 1; clip 3 @bf800000 @3f800000; where 2 4 #00000000

In front of ``>`` stands an operand each, numbered from 0: ``f`` for float32 or ``b`` for bool in memory, and how far
its elements lie apart along the inner axis: ``1``, ``0`` (one for all) or ``*`` (any stride, known at run time). Behind
it the result's type, then the steps, whose results are numbered on; the last is the result of the chain. An operand of
a step is a number of a value or, as ``#`` and its bits, a float32; parameters alpha and beta follow as ``@`` and bits,
where they are not 0. Ops and what they mean: ``cnnc.runtime.cpu.tape_encoding``.
"""

from __future__ import annotations

import re
import struct
from functools import cache

from cnnc.errors import InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cpu.tape_encoding import MAX_INPUTS, TapeStep, check_steps

LETTERS = {"f32": "f", "bool": "b"}
"""Element types in memory."""

_OPERAND = re.compile(r"[fb][01*]")


@dataclass(frozen=True, slots=True)
class Chain:
    """What a text says.

    Attributes:
        operands: type and inner stride of each, such as ``f1``.
        result: type of the result, ``f`` or ``b``.
        steps: at least one.
    """

    operands: tuple[str, ...]
    result: str
    steps: tuple[TapeStep, ...]

    def __str__(self) -> str:
        steps = "; ".join(_step_text(step) for step in self.steps)
        return f"{' '.join(self.operands)} > {self.result}: {steps}"


def _step_text(step: TapeStep) -> str:
    words = [step.op, *(str(value) if isinstance(value, int) else f"#{_bits(value)}" for value in step.operands)]
    parameters = [step.alpha, step.beta]
    while parameters and parameters[-1] == 0.0:
        parameters.pop()
    return " ".join([*words, *(f"@{_bits(value)}" for value in parameters)])


def _bits(value: float) -> str:
    return struct.pack(">f", value).hex()


@cache
def parse_chain(text: str) -> Chain:
    """The chain that a text says.

    Raises:
        InternalError: it is none.
    """
    head, colon, body = text.partition(": ")
    operands, arrow, result = head.partition(" > ")
    kinds = tuple(operands.split())
    if not (colon and arrow) or result not in LETTERS.values() or not all(map(_OPERAND.fullmatch, kinds)):
        raise InternalError(f"no chain of element-wise ops: {text!r}")
    if len(kinds) > MAX_INPUTS:
        raise InternalError(f"a chain of {len(kinds)} operands, at most {MAX_INPUTS} are allowed")
    steps = tuple(_parse_step(part.split()) for part in body.split("; "))
    check_steps(len(kinds), steps)
    return Chain(kinds, result, steps)


def _parse_step(words: list[str]) -> TapeStep:
    operands: list[int | float] = []
    parameters: list[float] = []
    for word in words[1:]:
        if word.startswith("@"):
            parameters.append(_number(word[1:]))
        else:
            operands.append(_number(word[1:]) if word.startswith("#") else _value(word))
    alpha, beta, *more = [*parameters, 0.0, 0.0]
    if not words or len(more) > 2:
        raise InternalError(f"no step of a chain: {' '.join(words)!r}")
    return TapeStep(words[0], tuple(operands), alpha, beta)


def _number(bits: str) -> float:
    if not re.fullmatch(r"[0-9a-f]{8}", bits):
        raise InternalError(f"{bits!r} are not the bits of a float32")
    return float(struct.unpack(">f", bytes.fromhex(bits))[0])


def _value(word: str) -> int:
    if not word.isdecimal():
        raise InternalError(f"{word!r} is not the number of a value")
    return int(word)
