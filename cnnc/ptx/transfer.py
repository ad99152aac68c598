"""Loads, stores, atomics and asynchronous copies (PTX ISA, data movement; ``atom``, ``red``).

Cache operators, scopes and orderings do not change what an emulated access does. Atomics of one instruction happen in
the order of their lanes, so sums of floats are the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.errors import ModelError, UnsupportedError
from cnnc.ptx.arithmetic import Operation, kind_of
from cnnc.ptx.counters import bank_cycles, sectors
from cnnc.ptx.machine import Array, Machine, place
from cnnc.ptx.memory import AccessError, check_alignment
from cnnc.ptx.module import Address, Instruction, Integer, Operand, Pack, Symbol
from cnnc.ptx.types import DTYPES, size_of

_SPACES = ("param", "shared", "global", "local", "const")


def space_of(instruction: Instruction) -> str:
    """The state space that it names, or ``generic``."""
    for word in instruction.modifiers:
        base = word.split("::")[0]
        if base in _SPACES:
            return base
    return "generic"


class Access:
    """The addresses of one instruction in one state space, checked and charged, for the active lanes.

    Args:
        size: bytes at each address.
    """

    def __init__(
        self,
        machine: Machine,
        instruction: Instruction,
        address: Operand,
        active: Array,
        size: int,
        space: str,
        writes: bool,
    ) -> None:
        addresses = machine.addresses(address, instruction)
        if space == "generic":
            space, addresses = machine.window(addresses, active, instruction)
        if space == "const":
            space = "global"
        self.machine, self.instruction, self.space, self.size = machine, instruction, space, size
        self.lanes = np.flatnonzero(active)
        self.addresses = addresses[self.lanes]
        if not self.lanes.size:
            return
        try:
            check_alignment(self.addresses, size)
            if space != "global":
                self._check_window()
            else:
                machine.memory.parts(self.addresses, size)
        except AccessError as error:
            raise AccessError(error.what, where=place(instruction)) from None
        self._charge(writes)

    def _check_window(self) -> None:
        machine = self.machine
        limit = {
            "shared": machine.shared_bytes,
            "local": machine.local_bytes,
            "param": machine.params.size,
        }[self.space]
        low, high = int(self.addresses.min()), int(self.addresses.max())
        if low < 0 or high + self.size > limit:
            bad = low if low < 0 else high
            raise AccessError(f"an access of {self.size} bytes at {bad} of {self.space} memory, which has {limit}")

    def _charge(self, writes: bool) -> None:
        machine, counters = self.machine, self.machine.counters
        warps = machine.warp_of[self.lanes]
        if self.space == "global":
            touched, least = sectors(self.addresses, self.size, warps)
            counters.sectors += touched
            counters.least_sectors += least
        elif self.space == "shared":
            cycles, least = bank_cycles(self.addresses, self.size, warps, machine.lane_of[self.lanes].astype(np.int64))
            counters.shared_cycles += cycles
            counters.least_shared_cycles += least
            check = machine.races.write if writes else machine.races.read
            race = check(self.lanes, self.addresses, self.size)
            if race is not None:
                raise AccessError(
                    f"a race: threads touch byte {race} of shared memory without a barrier in between",
                    where=place(self.instruction),
                )

    def load(self, kind: str, offset: int = 0) -> Array:
        """An element of every active lane, ``offset`` bytes behind its address."""
        dtype = DTYPES[kind]
        where = self.addresses + offset
        if self.space == "global":
            result = np.empty(len(where), dtype)
            for allocation, places in self.machine.memory.parts(where, dtype.itemsize):
                result[places] = _gathered(allocation.content, where[places] - allocation.address, dtype)
            return result
        rows, content = self._rows()
        if rows is None:
            return _gathered(content, where, dtype)
        return np.asarray(content.view(dtype)[rows, where // dtype.itemsize])

    def store(self, values: Array, offset: int = 0) -> None:
        """An element of every active lane; of lanes with the same address the last one's stays."""
        where = self.addresses + offset
        dtype = values.dtype
        if self.space == "global":
            for allocation, places in self.machine.memory.parts(where, dtype.itemsize):
                _scatter(allocation.content, where[places] - allocation.address, values[places])
            return
        rows, content = self._rows()
        if rows is None:
            raise UnsupportedError("parameters are not writable", where=place(self.instruction))
        content.view(dtype)[rows, where // dtype.itemsize] = values

    def _rows(self) -> tuple[Array | None, Array]:
        machine = self.machine
        if self.space == "shared":
            return machine.block_of[self.lanes], machine.shared
        if self.space == "local":
            return self.lanes, machine.local
        return None, machine.params


def _gathered(content: Array, offsets: Array, dtype: np.dtype[Any]) -> Array:
    """Elements at byte offsets, which need not be multiples of the element's size in ``content``'s own memory."""
    size = dtype.itemsize
    if content.size % size == 0 and not np.any(offsets % size) and content.ctypes.data % size == 0:
        return np.asarray(content.view(dtype)[offsets // size])
    parts = content[offsets[:, None] + np.arange(size)]
    return np.ascontiguousarray(parts).view(dtype).reshape(-1)


def _scatter(content: Array, offsets: Array, values: Array) -> None:
    size = values.dtype.itemsize
    if content.size % size == 0 and not np.any(offsets % size) and content.ctypes.data % size == 0:
        content.view(values.dtype)[offsets // size] = values
        return
    content[offsets[:, None] + np.arange(size)] = np.ascontiguousarray(values).view(np.uint8).reshape(-1, size)


def _parts(operand: Operand) -> tuple[Operand, ...]:
    return operand.parts if isinstance(operand, Pack) else (operand,)


def _everyone(machine: Machine, active: Array | None) -> Array:
    return machine.live if active is None else active


def _load(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    kind = kind_of(instruction)
    targets = _parts(instruction.operands[0])
    space = space_of(instruction)
    if space == "param" and _is_uniform(instruction.operands[1]):
        address = instruction.operands[1]
        assert isinstance(address, Address) and isinstance(address.base, Symbol)
        start = int(machine.special(address.base.name, instruction)) + address.offset
        if start < 0 or start + len(targets) * size_of(kind) > machine.params.size:
            raise AccessError(f"byte {start} is no parameter", where=place(instruction))
        for number, target in enumerate(targets):
            raw = machine.params[start + number * size_of(kind) :][: size_of(kind)].copy()
            machine.write(target, raw.view(DTYPES[kind])[0], active, instruction)
        return
    access = Access(
        machine,
        instruction,
        instruction.operands[1],
        _everyone(machine, active),
        len(targets) * size_of(kind),
        space,
        False,
    )
    for number, target in enumerate(targets):
        values = np.zeros(machine.lanes, DTYPES[kind])
        values[access.lanes] = access.load(kind, number * size_of(kind)) if access.lanes.size else 0
        machine.write(target, values, active, instruction)


def _is_uniform(address: Operand) -> bool:
    return isinstance(address, Address) and isinstance(address.base, Symbol)


def _store(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    kind = kind_of(instruction)
    sources = _parts(instruction.operands[1])
    access = Access(
        machine,
        instruction,
        instruction.operands[0],
        _everyone(machine, active),
        len(sources) * size_of(kind),
        space_of(instruction),
        True,
    )
    for number, source in enumerate(sources):
        values = machine.spread(machine.read(source, kind, instruction))[access.lanes]
        if access.lanes.size:
            access.store(np.ascontiguousarray(values), number * size_of(kind))


_ATOMICS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda old, value: old + value,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda old, value: value,
    "inc": lambda old, value: old.dtype.type(0) if old >= value else old + old.dtype.type(1),
    "dec": lambda old, value: value if old == 0 or old > value else old - old.dtype.type(1),
}


def _atomic(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``atom`` gives the old value, ``red`` nothing; lanes take turns."""
    operands = instruction.operands if instruction.opcode == "atom" else (Symbol("_"), *instruction.operands)
    name = next((word for word in instruction.modifiers if word in _ATOMICS or word == "cas"), "")
    kind = kind_of(instruction)
    if not name or size_of(kind) < 4 or kind in ("f16x2", "bf16x2"):
        raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))
    everyone = _everyone(machine, active)
    access = _unordered(machine, instruction, operands[1], everyone, size_of(kind))
    sources = [machine.spread(machine.read(operand, kind, instruction)) for operand in operands[2:]]
    results = np.zeros(machine.lanes, DTYPES[kind])
    for lane in range(len(access.lanes)):
        one = access.only(lane)
        old = one.load(kind)[0]
        mine = [source[access.lanes[lane]] for source in sources]
        if name == "cas":
            new = mine[1] if old == mine[0] else old
        else:
            new = _ATOMICS[name](old, mine[0])
        one.store(np.asarray([new], DTYPES[kind]))
        results[access.lanes[lane]] = old
    machine.write(operands[0], results, active, instruction)


class _Atomic(Access):
    """An access that is ordered by the hardware: it races with no other atomic."""

    def _charge(self, writes: bool) -> None:
        if self.space == "global":
            touched, least = sectors(self.addresses, self.size, self.machine.warp_of[self.lanes])
            self.machine.counters.sectors += touched
            self.machine.counters.least_sectors += least

    def only(self, number: int) -> _Atomic:
        """The access of one of the active lanes."""
        one = object.__new__(_Atomic)
        one.machine, one.instruction, one.space, one.size = self.machine, self.instruction, self.space, self.size
        one.lanes, one.addresses = self.lanes[number : number + 1], self.addresses[number : number + 1]
        return one


def _unordered(machine: Machine, instruction: Instruction, address: Operand, active: Array, size: int) -> _Atomic:
    return _Atomic(machine, instruction, address, active, size, space_of(instruction), True)


def _copy(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``cp.async.ca.shared.global [to], [from], bytes{, bytes read}``: what is not read becomes zeros.

    The copy is done at once: a program that reads before it has waited for its copies is not found out.
    """
    words = instruction.modifiers
    if words[0] != "async":
        raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))
    if words[1] in ("commit_group", "wait_group", "wait_all"):
        return
    count = instruction.operands[2]
    if not isinstance(count, Integer) or count.value not in (4, 8, 16):
        raise ModelError("it copies 4, 8 or 16 bytes", where=place(instruction))
    everyone = _everyone(machine, active)
    target = Access(machine, instruction, instruction.operands[0], everyone, count.value, "shared", True)
    read = np.full(machine.lanes, count.value, np.int64)
    if len(instruction.operands) > 3:
        read = machine.spread(machine.read(instruction.operands[3], "u32", instruction)).astype(np.int64)
    content = np.zeros((machine.lanes, count.value), np.uint8)
    whole = everyone & (read >= count.value)
    if whole.any():
        source = Access(machine, instruction, instruction.operands[1], whole, count.value, "global", False)
        for part in range(0, count.value, 4):
            content[source.lanes, part : part + 4] = source.load("b32", part)[:, None].view(np.uint8)
    for byte in range(count.value):
        some = everyone & ~whole & (read > byte)
        if some.any():
            source = Access(machine, instruction, _behind(instruction.operands[1], byte), some, 1, "global", False)
            content[source.lanes, byte] = source.load("b8")
    if target.lanes.size:
        for part in range(0, count.value, 4):
            words_ = np.ascontiguousarray(content[target.lanes, part : part + 4]).view(np.uint32)[:, 0]
            target.store(words_, part)


def _behind(address: Operand, offset: int) -> Address:
    assert isinstance(address, Address)
    return Address(address.base, address.offset + offset)


def _nothing(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """Prefetches and fences: emulated accesses are in order."""


OPERATIONS: dict[str, Operation] = {
    "ld": _load,
    "ldu": _load,
    "st": _store,
    "atom": _atomic,
    "red": _atomic,
    "cp": _copy,
    "prefetch": _nothing,
    "prefetchu": _nothing,
    "membar": _nothing,
    "fence": _nothing,
}
"""Opcode -> what it does."""
