"""PTX as data: what the parser makes of a text, and the machine executes.

Names follow the PTX ISA manual: a module has *entries* (kernels), an entry has parameters, registers and a body of
instructions; variables live in a state space. An instruction's opcode is split at its dots: ``ld.global.v4.f32`` has
the opcode ``ld`` and the modifiers ``global``, ``v4``, ``f32``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Register:
    """A register, or a predicate, by name; ``negated`` predicates are read as their opposite."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer constant."""

    value: int


@dataclass(frozen=True, slots=True)
class Float:
    """A floating-point constant by its bits, of 32 or 64 bits."""

    bits: int
    width: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable's or a label's name, or a special register such as ``%tid.x``."""

    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """``[base + offset]``; the offset is in bytes."""

    base: Register | Symbol | None
    offset: int


@dataclass(frozen=True, slots=True)
class Pack:
    """Several operands as one: ``{a, b}`` of vectors, or ``a|b`` of two results."""

    parts: tuple[Operand, ...]


Operand = Register | Integer | Float | Symbol | Address | Pack


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        opcode, modifiers: ``mad`` and ``("lo", "s32")`` of ``mad.lo.s32``.
        operands: destination first, as written.
        guard: the predicate that it is executed under, if any.
        line: in the text, counted from 1.
    """

    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Register | None
    line: int

    @property
    def name(self) -> str:
        """The opcode with its modifiers, as written."""
        return ".".join((self.opcode, *self.modifiers))


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a state space: param, shared, local, global or const.

    Attributes:
        type: of its elements, such as ``f32`` or ``b8``.
        size: bytes; 0 of ``extern`` shared memory, whose size comes with the launch.
        content: initial bytes, zeros where empty.
    """

    name: str
    space: str
    type: str
    align: int
    size: int
    content: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A kernel, which is equal to itself alone.

    Attributes:
        params: in the order of the launch's arguments.
        registers: types by name.
        variables: declared in the body: shared and local ones.
        body: instructions.
        labels: index into ``body`` by name; it may be behind the last instruction.
        tables: labels of each branch table, by its name.
        most_threads: of a block, as ``.maxntid`` promises; 0 if nothing is said.
    """

    name: str
    params: tuple[Variable, ...]
    registers: Mapping[str, str]
    variables: tuple[Variable, ...]
    body: tuple[Instruction, ...]
    labels: Mapping[str, int]
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    most_threads: int = 0


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed text: the ISA version and target that it names, its variables and entries by name."""

    version: str
    target: str
    variables: Mapping[str, Variable] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
