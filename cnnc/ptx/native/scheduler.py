"""Runs the blocks of a machine on the interpreter, and on the NumPy meaning what the interpreter leaves to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnc.errors import ModelError
from cnnc.ptx.counters import charge
from cnnc.ptx.machine import Array, Machine, place
from cnnc.ptx.module import Address, Instruction, Symbol
from cnnc.ptx.native.interpreter import run_blocks
from cnnc.ptx.native.program import Constant, Program, encoded
from cnnc.ptx.native.state import Memory, Room, State, Status, Total
from cnnc.ptx.registers import WARP
from cnnc.ptx.types import DTYPES
from cnnc.ptx.undefined import undefined_reads

Perform = Callable[[Machine, Instruction, Array], None]
"""The NumPy meaning of an instruction that is neither a branch nor the end of a thread."""


def run(machine: Machine, program: Program, perform: Perform, steps: int) -> None:
    """Run all blocks of a machine, which has room for the program's constants behind its registers.

    Raises:
        ModelError: an instruction cannot be done, a barrier is missed, or a warp executes more than ``steps``
            instructions.
    """
    _fill_constants(machine, program)
    state = _state(machine, program, steps)
    while True:
        run_blocks(state)
        if (state.status == Status.ENDLESS).any():
            what = f"more than {steps} instructions of a warp"
            raise ModelError(
                what, where=machine.entry.name, hint="find the loop that does not end, or allow more steps"
            )
        waiting = np.flatnonzero(state.status == Status.AT_NUMPY)
        if not waiting.size:
            break
        machine.live = _lanes(state.live)
        places = state.next[waiting, state.paths[waiting] - 1]
        for index in np.unique(places):
            warps = waiting[places == index]
            _perform(machine, state, int(index), warps, perform)
    machine.live = _lanes(state.live)
    stuck = np.flatnonzero(state.status == Status.AT_BARRIER)
    if stuck.size:
        index = int(state.next[stuck[0], state.paths[stuck[0]] - 1])
        raise ModelError("a barrier that not all threads of a block reach", where=place(machine.entry.body[index]))
    _count(machine, state)


def _perform(machine: Machine, state: State, index: int, warps: Array, perform: Perform) -> None:
    instruction = machine.entry.body[index]
    missing = undefined_reads(machine.entry).get(index)
    if missing is not None:
        raise ModelError(f"{missing} is read before it is written", where=place(instruction))
    masks = np.zeros_like(state.live)
    masks[warps] = state.stopped[warps]
    perform(machine, instruction, _lanes(masks))
    state.next[warps, state.paths[warps] - 1] += 1
    state.status[warps] = Status.READY


def _lanes(masks: Array) -> Array:
    """Masks of warps as a boolean for every lane."""
    words = masks.astype(np.uint32).view(np.uint8).reshape(-1, 4)
    return np.unpackbits(words, axis=1, bitorder="little").reshape(-1).view(bool)


def _fill_constants(machine: Machine, program: Program) -> None:
    rows = machine.registers.rows
    for constant in program.constants:
        slot = constant.slot
        values = np.broadcast_to(_constant(machine, constant), (machine.lanes,)).reshape(-1, WARP)
        target = rows[:, slot.offset : slot.offset + slot.size]
        if slot.kind == "pred":
            target[...] = np.packbits(values, axis=1, bitorder="little")
        else:
            target.view(values.dtype)[...] = values


def _constant(machine: Machine, constant: Constant) -> Array:
    operand = constant.operand
    if isinstance(operand, Address) and isinstance(operand.base, Symbol):
        params = {variable.name for variable in machine.entry.params}
        if operand.base.name in params:
            start = int(machine.symbols[operand.base.name]) + operand.offset
            dtype = DTYPES[constant.kind]
            return np.asarray(machine.params[start : start + dtype.itemsize].copy().view(dtype)[0])
    return machine.read(operand, constant.kind, constant.where)


def _state(machine: Machine, program: Program, steps: int) -> State:
    warps, count = machine.lanes // WARP, len(machine.entry.body)
    live = np.packbits(machine.live.reshape(-1, WARP), axis=1, bitorder="little").view(np.uint32)[:, 0]
    stack = np.zeros((warps, program.depth), np.int64)
    totals = np.zeros(len(Total), np.int64)
    allocations = machine.memory.allocations
    known = [(each.address, each.size, each.content.ctypes.data) for each in allocations]
    places = np.array(known, np.int64).reshape(-1, 3).T.copy()
    room = np.zeros(Room.END, np.int64)
    races = machine.races
    memory = Memory(
        rows=machine.registers.rows.ctypes.data,
        row_bytes=machine.registers.rows.shape[1],
        warps_of_block=warps // machine.block_count,
        shared=machine.shared.ctypes.data,
        shared_pitch=machine.shared.shape[1],
        shared_bytes=machine.shared_bytes,
        local=machine.local.ctypes.data,
        local_pitch=machine.local.shape[1],
        local_bytes=machine.local_bytes,
        allocations=len(allocations),
        starts=places[0].ctypes.data,
        sizes=places[1].ctypes.data,
        hosts=places[2].ctypes.data,
        races=races.records.ctypes.data,
        races_pitch=races.records.shape[1] * races.records.itemsize,
        block_period=races.block_period.ctypes.data,
        warp_period=races.warp_period.ctypes.data,
        totals=totals.ctypes.data,
        room=room.ctypes.data,
    )
    state = State(
        memory=memory,
        table=program.table,
        next=stack,
        meets=stack.copy(),
        masks=stack.copy(),
        paths=np.ones(warps, np.int64),
        live=live.astype(np.int64),
        status=np.full(warps, Status.READY, np.int64),
        stopped=np.zeros(warps, np.int64),
        left=np.full(warps, steps, np.int64),
        block_period=races.block_period,
        warp_period=races.warp_period,
        issued=np.zeros(count, np.int64),
        threads=np.zeros(count, np.int64),
        totals=totals,
        owned=(places, room),
    )
    state.meets[:, 0] = count
    state.masks[:, 0] = state.live
    return state


def _count(machine: Machine, state: State) -> None:
    counters = machine.counters
    for index in np.flatnonzero(state.issued):
        charge(counters, int(index), machine.entry.body[index], int(state.issued[index]), int(state.threads[index]))
    counters.sectors += int(state.totals[Total.SECTORS])
    counters.least_sectors += int(state.totals[Total.LEAST_SECTORS])
    counters.shared_cycles += int(state.totals[Total.SHARED_CYCLES])
    counters.least_shared_cycles += int(state.totals[Total.LEAST_SHARED_CYCLES])
    counters.branches += int(state.totals[Total.BRANCHES])
    counters.divergent_branches += int(state.totals[Total.DIVERGENT_BRANCHES])
    counters.barriers += int(state.totals[Total.BARRIERS])


__all__ = ["encoded", "run"]
