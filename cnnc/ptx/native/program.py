"""An entry as a table of numbers: a row for each instruction, which the interpreter reads."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from cnnc.ptx.control_flow import branch_targets, meeting_points
from cnnc.ptx.module import Address, Entry, Float, Instruction, Integer, Operand, Pack, Register, Symbol
from cnnc.ptx.native.lanewise import operation_of
from cnnc.ptx.native.library import Shape, addresses
from cnnc.ptx.native.vectors import Operation
from cnnc.ptx.registers import RegisterLayout, Slot, register_layout, slot_bytes
from cnnc.ptx.transfer import space_of
from cnnc.ptx.types import DTYPES, is_signed, size_of
from cnnc.ptx.undefined import undefined_reads

Array = np.ndarray[Any, Any]


class Handler(IntEnum):
    """What the interpreter does with an instruction."""

    NUMPY = 0
    """Nothing: the NumPy meaning does it."""
    LANEWISE = 1
    BRANCH = 2
    EXIT = 3
    BARRIER = 4
    WARP_BARRIER = 5
    LOAD = 6
    STORE = 7
    NOTHING = 8


class Field(IntEnum):
    """Columns of the table. Offsets are of slots in a warp's row of the register file."""

    HANDLER = 0
    GUARD = 1
    """Offset of the predicate, -1 without."""
    NEGATED = 2
    FUNCTION = 3
    """Address of a lane-wise operation."""
    OPERANDS = 4
    """Offsets of its results and sources, up to ten."""

    TARGET = 4
    MEETS = 5

    BASE = 4
    """Offset of the address."""
    BASE_BYTES = 5
    """Bytes of an element of it; negative where it is signed."""
    OFFSET = 6
    SIZE = 7
    """Bytes of an element in memory."""
    COUNT = 8
    SIGNED = 9
    REGISTER_BYTES = 10
    """Bytes of an element of the registers that are loaded or stored."""
    SPACE = 11
    DATA = 12
    """Offsets of up to four of them."""


FIELDS = 16
MOST_OPERANDS = 10

GLOBAL, SHARED, LOCAL = 0, 1, 2
_SPACES = {"global": GLOBAL, "const": GLOBAL, "shared": SHARED, "local": LOCAL}
_IDLE = frozenset(("nop", "nanosleep", "pmevent", "prefetch", "prefetchu", "membar", "fence"))


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that does not change while a launch runs: what an operand says as a ``kind``, first read by ``where``.

    The operand is an address where a parameter is loaded, or where a variable's address is taken.
    """

    operand: Operand
    kind: str
    slot: Slot
    where: Instruction


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An entry in numbers.

    Attributes:
        table: int64 [instructions, FIELDS].
        constants: what lies behind the registers of a warp, ``extra`` bytes in all.
        depth: most paths that a warp may have at a time.
    """

    table: Array
    constants: Sequence[Constant]
    extra: int
    depth: int


@functools.lru_cache(maxsize=256)
def encoded(entry: Entry) -> Program:
    """The program of an entry; compiles the lane-wise operations that it needs and no entry has needed before."""
    return _Encoder(entry).program()


class _Encoder:
    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.layout: RegisterLayout = register_layout(entry)
        self.meets = meeting_points(entry)
        self.undefined = undefined_reads(entry)
        self.constants: dict[tuple[Operand, str], Constant] = {}
        self.extra = 0
        self.table = np.zeros((len(entry.body), FIELDS), np.int64)
        self.functions: list[tuple[int, Operation, Shape]] = []

    def program(self) -> Program:
        for index, instruction in enumerate(self.entry.body):
            row = self.table[index]
            row[Field.GUARD] = -1
            if instruction.guard is not None:
                row[Field.GUARD] = self.layout.slots[instruction.guard.name].offset
                row[Field.NEGATED] = instruction.guard.negated
            row[Field.HANDLER] = Handler.NUMPY if index in self.undefined else self.handler(index, instruction, row)
        found = addresses((operation, shape) for _, operation, shape in self.functions)
        for index, _, shape in self.functions:
            self.table[index, Field.FUNCTION] = found[shape]
        return Program(self.table, tuple(self.constants.values()), self.extra, 2 * len(self.meets) + 2)

    def handler(self, index: int, instruction: Instruction, row: Array) -> Handler:
        opcode, words = instruction.opcode, instruction.modifiers
        if opcode == "bra":
            row[Field.TARGET] = branch_targets(self.entry, instruction)[0]
            row[Field.MEETS] = self.meets[index]
            return Handler.BRANCH
        if opcode in ("ret", "exit"):
            return Handler.EXIT
        if opcode in ("bar", "barrier"):
            if "warp" in words:
                return Handler.WARP_BARRIER
            return Handler.BARRIER if "sync" in words and len(instruction.operands) <= 1 else Handler.NUMPY
        if opcode in _IDLE:
            return Handler.NOTHING
        if opcode in ("ld", "ldu"):
            return self.load(index, instruction, row)
        if opcode == "st":
            return self.transfer(instruction, instruction.operands[0], instruction.operands[1], row, Handler.STORE)
        return self.lanewise(index, instruction, row)

    # Operands

    def constant(self, operand: Operand, kind: str, where: Instruction) -> Slot:
        """The slot of a constant, made for the first that asks."""
        key = (operand, kind)
        if key not in self.constants:
            slot = Slot(self.layout.size + self.extra, kind)
            self.constants[key] = Constant(operand, kind, slot, where)
            self.extra += -(-slot_bytes(kind) // 4) * 4
        return self.constants[key].slot

    def source(self, operand: Operand, kind: str, where: Instruction) -> Slot | None:
        """Where a source that is read as ``kind`` lies."""
        if isinstance(operand, Register):
            return None if operand.negated else self.layout.slots.get(operand.name)
        if isinstance(operand, Symbol) and operand.name.startswith(("%clock", "%globaltimer")):
            return None
        if isinstance(operand, Integer | Float | Symbol):
            return self.constant(operand, kind, where)
        if isinstance(operand, Address) and isinstance(operand.base, Symbol):
            return self.constant(operand, kind, where)
        return None

    # Instructions

    def lanewise(self, index: int, instruction: Instruction, row: Array) -> Handler:
        operation = operation_of(instruction)
        if operation is None:
            return Handler.NUMPY
        operands = [part for operand in instruction.operands for part in _parts(operand)]
        count = len(operation.results)
        if len(operands) != count + len(operation.sources) or len(operands) > MOST_OPERANDS:
            return Handler.NUMPY
        slots = [self.target(operand) for operand in operands[:count]]
        slots += [
            self.source(operand, kind, instruction)
            for operand, kind in zip(operands[count:], operation.sources, strict=True)
        ]
        return self.call(index, operation, slots, row)

    def call(self, index: int, operation: Operation, slots: Sequence[Slot | None], row: Array) -> Handler:
        kinds = []
        for number, slot in enumerate(slots):
            if slot is None:
                return Handler.NUMPY
            row[Field.OPERANDS + number] = slot.offset
            kinds.append(slot.kind)
        count = len(operation.results)
        self.functions.append((index, operation, (operation.name, tuple(kinds[:count]), tuple(kinds[count:]))))
        return Handler.LANEWISE

    def target(self, operand: Operand) -> Slot | None:
        return self.layout.slots.get(operand.name) if isinstance(operand, Register) else None

    def load(self, index: int, instruction: Instruction, row: Array) -> Handler:
        target, address = instruction.operands
        if space_of(instruction) != "param":
            return self.transfer(instruction, address, target, row, Handler.LOAD)
        if not isinstance(target, Register) or not isinstance(address, Address):
            return Handler.NUMPY
        (kind,) = (word for word in instruction.modifiers if word in DTYPES)
        if not self.is_param(address, size_of(kind)):
            return Handler.NUMPY
        # A parameter is a constant of the launch.
        move = Operation(f"mov.{kind}", (kind,), (kind,), lambda builder, value: value)
        return self.call(index, move, [self.target(target), self.constant(address, kind, instruction)], row)

    def is_param(self, address: Address, size: int) -> bool:
        if not isinstance(address.base, Symbol):
            return False
        variable = next((each for each in self.entry.params if each.name == address.base.name), None)
        return variable is not None and 0 <= address.offset <= variable.size - size

    def transfer(
        self, instruction: Instruction, address: Operand, data: Operand, row: Array, handler: Handler
    ) -> Handler:
        space = _SPACES.get(space_of(instruction))
        parts = _parts(data)
        kind = [word for word in instruction.modifiers if word in DTYPES][-1]
        if space is None or len(parts) > 4 or not isinstance(address, Address) or address.base is None:
            return Handler.NUMPY
        base = self.base(address.base, instruction)
        slots = [
            self.target(part) if handler == Handler.LOAD else self.source(part, kind, instruction) for part in parts
        ]
        kinds = {slot.kind if slot is not None else "pred" for slot in slots}
        if base is None or "pred" in kinds or len({size_of(each) for each in kinds}) != 1:
            return Handler.NUMPY
        register_bytes = size_of(next(iter(kinds)))
        if register_bytes < size_of(kind) or size_of(base.kind) < 4:
            return Handler.NUMPY
        row[Field.BASE] = base.offset
        row[Field.BASE_BYTES] = -4 if base.kind == "s32" else size_of(base.kind)
        row[Field.OFFSET] = address.offset
        row[Field.SIZE], row[Field.COUNT], row[Field.SIGNED] = size_of(kind), len(parts), is_signed(kind)
        row[Field.REGISTER_BYTES], row[Field.SPACE] = register_bytes, space
        for number, slot in enumerate(slots):
            assert slot is not None
            row[Field.DATA + number] = slot.offset
        return handler

    def base(self, base: Register | Symbol, where: Instruction) -> Slot | None:
        if isinstance(base, Register):
            return self.layout.slots.get(base.name)
        return self.constant(base, "u64", where)


def _parts(operand: Operand) -> tuple[Operand, ...]:
    return operand.parts if isinstance(operand, Pack) else (operand,)
