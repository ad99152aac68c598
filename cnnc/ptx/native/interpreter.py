"""Goes through the table of a program for one warp after the other; compiled by Numba.

A warp runs until it meets a barrier, ends, or comes to an instruction that is left to the NumPy meaning. Paths of
threads that branched apart are a stack, as in ``cnnc.ptx.execute``, but for each warp alone.
"""

from __future__ import annotations

from typing import Any

from cnnc.ptx.native.access import access
from cnnc.ptx.native.compiled import compiled
from cnnc.ptx.native.pointers import call, count_bits, load32, load64
from cnnc.ptx.native.program import Field, Handler
from cnnc.ptx.native.state import Status, Total

_ALL = 0xFFFFFFFF

# Numba takes the numbers of an enumeration only where they are plain integers.
_READY, _AT_BARRIER, _AT_NUMPY, _DONE, _ENDLESS = (
    int(each) for each in (Status.READY, Status.AT_BARRIER, Status.AT_NUMPY, Status.DONE, Status.ENDLESS)
)
_HANDLER, _GUARD, _NEGATED, _FUNCTION, _OPERANDS, _TARGET, _MEETS = (
    int(each)
    for each in (
        *(Field.HANDLER, Field.GUARD, Field.NEGATED, Field.FUNCTION),
        *(Field.OPERANDS, Field.TARGET, Field.MEETS),
    )
)
_LANEWISE, _BRANCH, _EXIT, _BARRIER, _WARP_BARRIER, _LOAD, _STORE, _NOTHING = (
    int(each)
    for each in (
        *(Handler.LANEWISE, Handler.BRANCH, Handler.EXIT, Handler.BARRIER),
        *(Handler.WARP_BARRIER, Handler.LOAD, Handler.STORE, Handler.NOTHING),
    )
)
_BRANCHES, _DIVERGENT, _BARRIERS = (int(each) for each in (Total.BRANCHES, Total.DIVERGENT_BRANCHES, Total.BARRIERS))


@compiled
def run_blocks(s: Any) -> None:
    """Run every block until all of its warps have ended or wait for what is not done here."""
    for block in range(len(s.block_period)):
        first = block * s.memory.warps_of_block
        while True:
            for warp in range(first, first + s.memory.warps_of_block):
                if s.status[warp] == _READY:
                    _run_warp(s, warp)
            if not _release(s, block, first):
                break


@compiled
def _release(s: Any, block: int, first: int) -> bool:
    """Let the warps of a block go on if all of their threads are at one barrier."""
    place = -1
    for warp in range(first, first + s.memory.warps_of_block):
        if s.live[warp] == 0:
            continue
        if s.status[warp] != _AT_BARRIER or s.stopped[warp] != s.live[warp]:
            return False
        here = s.next[warp, s.paths[warp] - 1]
        if place >= 0 and here != place:
            return False
        place = here
    if place < 0:
        return False
    for warp in range(first, first + s.memory.warps_of_block):
        if s.status[warp] == _AT_BARRIER:
            s.status[warp] = _READY
            s.next[warp, s.paths[warp] - 1] += 1
    s.block_period[block] += 1
    s.totals[_BARRIERS] += 1
    return True


@compiled
def _run_warp(s: Any, warp: int) -> None:
    while s.status[warp] == _READY:
        top = s.paths[warp] - 1
        while top >= 0 and (s.next[warp, top] == s.meets[warp, top] or s.masks[warp, top] == 0):
            top -= 1
        s.paths[warp] = top + 1
        if top < 0:
            s.status[warp] = _DONE
        else:
            _run_path(s, warp, top)


@compiled
def _run_path(s: Any, warp: int, top: int) -> None:
    """Run the topmost path of a warp until it ends, parts, or waits."""
    table, issued, threads = s.table, s.issued, s.threads
    memory = s.memory
    registers = memory.rows + warp * memory.row_bytes
    first, row_bytes = table.ctypes.data, table.shape[1] * 8
    pc, mask, end = s.next[warp, top], s.masks[warp, top], s.meets[warp, top]
    left = s.left[warp]
    status = _READY
    while pc != end and mask:
        left -= 1
        if left < 0:
            status = _ENDLESS
            break
        row = first + pc * row_bytes
        active = mask
        guard = load64(row + 8 * _GUARD)
        if guard >= 0:
            predicate = load32(registers + guard)
            active &= (predicate ^ _ALL) if load64(row + 8 * _NEGATED) else predicate
        handler = load64(row + 8 * _HANDLER)
        issued[pc] += 1
        threads[pc] += count_bits(active)
        if handler == _LANEWISE:
            if active:
                call(load64(row + 8 * _FUNCTION), registers, row + 8 * _OPERANDS, active)
            pc += 1
        elif handler == _BRANCH:
            s.totals[_BRANCHES] += 1
            if active == mask:
                pc = load64(row + 8 * _TARGET)
            elif active == 0:
                pc += 1
            else:
                s.totals[_DIVERGENT] += 1
                s.left[warp] = left
                _part(s, warp, top, pc, active)
                return
        elif active == 0 or handler == _NOTHING:
            pc += 1
        elif handler in (_LOAD, _STORE) and access(memory, row, warp, active, handler == _STORE):
            pc += 1
        elif handler == _WARP_BARRIER:
            s.warp_period[warp] += 1
            pc += 1
        elif handler == _EXIT:
            s.live[warp] &= ~active
            for path in range(top + 1):
                s.masks[warp, path] &= ~active
            mask &= ~active
            pc += 1
        else:
            s.stopped[warp] = active
            status = _AT_BARRIER if handler == _BARRIER else _AT_NUMPY
            break
    s.next[warp, top], s.left[warp], s.status[warp] = pc, left, status


@compiled
def _part(s: Any, warp: int, top: int, pc: int, taken: int) -> None:
    """The threads ``taken`` branch, the others go on; all meet again where the paths do."""
    target, meets = s.table[pc, _TARGET], s.table[pc, _MEETS]
    others = s.masks[warp, top] & ~taken
    if s.meets[warp, top] == meets:
        top -= 1  # the path below waits at the same place
    else:
        s.next[warp, top] = meets
    for side in range(2):
        start = pc + 1 if side else target
        if start != meets:
            top += 1
            s.next[warp, top], s.meets[warp, top] = start, meets
            s.masks[warp, top] = others if side else taken
    s.paths[warp] = top + 1
