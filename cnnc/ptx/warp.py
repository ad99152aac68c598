"""Instructions of a whole warp: shuffles, votes, reductions (PTX ISA: ``shfl.sync``, ``vote.sync``, ``redux.sync``)."""

from __future__ import annotations

import numpy as np

from cnnc.errors import ModelError, UnsupportedError
from cnnc.ptx.arithmetic import Operation, kind_of
from cnnc.ptx.counters import WARP
from cnnc.ptx.machine import Array, Machine, place
from cnnc.ptx.module import Instruction, Operand, Pack


def _active(machine: Machine, active: Array | None) -> Array:
    return machine.live if active is None else active


def _check_members(machine: Machine, members: Operand, everyone: Array, instruction: Instruction) -> None:
    """Refuse a member mask that names a thread that is not here: the hardware would wait for it for ever."""
    mask = machine.spread(machine.read(members, "b32", instruction))
    present = everyone & ((mask >> machine.lane_of) & np.uint32(1) != 0)
    named = machine.live & ((mask >> machine.lane_of) & np.uint32(1) != 0)
    here = everyone.reshape(-1, WARP).any(axis=1)
    missing = (named & ~present).reshape(-1, WARP)[here]
    if missing.any() or (everyone & ~present).any():
        raise ModelError("its members are not the threads that execute it", where=place(instruction))


def _shuffle(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``shfl.sync.mode.b32 d|p, a, b, c, members``: p says whether the lane read is in range."""
    target, value, offset, limits, members = instruction.operands
    everyone = _active(machine, active)
    _check_members(machine, members, everyone, instruction)
    values = machine.spread(machine.read(value, "b32", instruction)).reshape(-1, WARP)
    b = machine.spread(machine.read(offset, "u32", instruction)).astype(np.int64) & 31
    c = machine.spread(machine.read(limits, "u32", instruction)).astype(np.int64)
    lane = machine.lane_of.astype(np.int64)
    segment = c >> 8 & 31
    most = (lane & segment) | (c & 31 & ~segment)
    least = lane & segment
    mode = instruction.modifiers[1]
    if mode == "up":
        source = lane - b
        inside = source >= most
    elif mode == "down":
        source = lane + b
        inside = source <= most
    elif mode == "bfly":
        source = lane ^ b
        inside = source <= most
    elif mode == "idx":
        source = least | (b & ~segment)
        inside = source <= most
    else:
        raise ModelError(f"there is no mode {mode}", where=place(instruction))
    source = np.where(inside, source, lane)
    picked = np.take_along_axis(values, source.reshape(-1, WARP), axis=1).reshape(-1)
    absent = everyone & ~np.take_along_axis(everyone.reshape(-1, WARP), source.reshape(-1, WARP), axis=1).reshape(-1)
    if absent.any():
        raise ModelError("it reads a register of a thread that does not execute it", where=place(instruction))
    if isinstance(target, Pack):
        machine.write(target.parts[0], picked, active, instruction)
        machine.write(target.parts[1], inside, active, instruction)
    else:
        machine.write(target, picked, active, instruction)


def _vote(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    target, value, members = instruction.operands
    everyone = _active(machine, active)
    _check_members(machine, members, everyone, instruction)
    flags = machine.spread(machine.read(value, "pred", instruction)).reshape(-1, WARP)
    present = everyone.reshape(-1, WARP)
    mode = instruction.modifiers[1]
    if mode == "ballot":
        bits = np.uint64(1) << np.arange(WARP, dtype=np.uint64)
        result = np.sum(np.where(flags & present, bits, np.uint64(0)), axis=1).astype(np.uint32)
    elif mode == "all":
        result = (flags | ~present).all(axis=1)
    elif mode == "any":
        result = (flags & present).any(axis=1)
    elif mode == "uni":
        result = (flags | ~present).all(axis=1) | ~(flags & present).any(axis=1)
    else:
        raise ModelError(f"there is no mode {mode}", where=place(instruction))
    machine.write(target, np.repeat(result, WARP), active, instruction)


def _active_mask(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    present = _active(machine, active).reshape(-1, WARP)
    bits = np.uint64(1) << np.arange(WARP, dtype=np.uint64)
    result = np.sum(np.where(present, bits, np.uint64(0)), axis=1).astype(np.uint32)
    machine.write(instruction.operands[0], np.repeat(result, WARP), active, instruction)


_REDUCTIONS = {"add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or}
_REDUCTIONS["xor"] = np.bitwise_xor


def _reduce(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    target, value, members = instruction.operands
    everyone = _active(machine, active)
    _check_members(machine, members, everyone, instruction)
    name, kind = instruction.modifiers[1], kind_of(instruction)
    if name not in _REDUCTIONS:
        raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))
    values = machine.spread(machine.read(value, kind, instruction)).reshape(-1, WARP)
    present = everyone.reshape(-1, WARP)
    # Absent lanes repeat a present one, which changes no minimum; for sums they count as the neutral element.
    first = values[np.arange(len(values)), present.argmax(axis=1)]
    neutral = np.zeros_like(first) if name in ("add", "xor", "or") else first
    filled = np.where(present, values, neutral[:, None])
    result = _REDUCTIONS[name].reduce(filled, axis=1, dtype=values.dtype)
    machine.write(target, np.repeat(result, WARP), active, instruction)


OPERATIONS: dict[str, Operation] = {
    "shfl": _shuffle,
    "vote": _vote,
    "activemask": _active_mask,
    "redux": _reduce,
}
"""Opcode -> what it does."""
