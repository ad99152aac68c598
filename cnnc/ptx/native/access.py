"""Loads and stores of a warp, for Numba: checked and charged as ``cnnc.ptx.transfer`` says.

An access that cannot be done is not begun: ``access`` gives False, and the NumPy meaning finds out why. Everything
here is an address or a number, as arrays cost Numba more than the work that is done with them; ``state`` says what lies
where.

What is charged are numbers of distinct *units*: sectors, words of banks, elements. A unit has a place in a small table
by its lowest bits; only where another unit is found there are the lanes before searched.
"""

from __future__ import annotations

from typing import Any

from cnnc.ptx.native.compiled import compiled
from cnnc.ptx.native.pointers import load8, load16, load32, load64, store8, store16, store32, store64
from cnnc.ptx.native.program import GLOBAL, SHARED, Field
from cnnc.ptx.native.races import note_reader, read, write
from cnnc.ptx.native.state import Room, Total
from cnnc.ptx.races import WORD_BYTES
from cnnc.ptx.registers import WARP

_HANDLED_BYTES = 128
"""Bytes of shared memory that are served in a cycle."""
_SECTOR = 32
_PLACES = 64
_NO_UNIT = -(1 << 62)

# Numba takes members of an enumeration only as plain integers: bytes from the beginning of a row or of the room.
_BASE, _BASE_BYTES, _OFFSET, _SIZE, _COUNT = (
    8 * int(field) for field in (Field.BASE, Field.BASE_BYTES, Field.OFFSET, Field.SIZE, Field.COUNT)
)
_SIGNED, _REGISTER_BYTES, _SPACE, _DATA = (
    8 * int(field) for field in (Field.SIGNED, Field.REGISTER_BYTES, Field.SPACE, Field.DATA)
)
_SECTORS, _LEAST_SECTORS, _CYCLES, _LEAST_CYCLES = (
    8 * int(total) for total in (Total.SECTORS, Total.LEAST_SECTORS, Total.SHARED_CYCLES, Total.LEAST_SHARED_CYCLES)
)
_ADDRESSES, _UNITS, _SEEN, _GROUPS, _LOADS = (
    8 * int(room) for room in (Room.ADDRESSES, Room.UNITS, Room.SEEN, Room.GROUPS, Room.LOADS)
)


@compiled
def access(m: Any, row: int, warp: int, mask: int, writes: bool) -> bool:
    """Do the load or store of a row of the table for the threads ``mask`` of a warp.

    ``m`` is a ``Memory``. False if the NumPy meaning must do it.
    """
    element, count, space = load64(row + _SIZE), load64(row + _COUNT), load64(row + _SPACE)
    size = element * count
    registers = m.rows + warp * m.row_bytes
    addresses = m.room + _ADDRESSES
    _find_addresses(addresses, registers, row)
    if not _fits(m, space, mask, size):
        return False
    if space == GLOBAL:
        units = m.room + _UNITS
        _add(m.totals + _SECTORS, _distinct(m.room, units, mask, 5))
        _add(m.totals + _LEAST_SECTORS, (_distinct(m.room, units, mask, 0) * size + _SECTOR - 1) // _SECTOR)
    elif space == SHARED:
        block = warp // m.warps_of_block
        if not _share(m, block, warp, mask, size, writes):
            return False
        _move(addresses, m.shared + block * m.shared_pitch, 0)
    else:
        _move(addresses, m.local + warp * WARP * m.local_pitch, m.local_pitch)
    wide = load64(row + _REGISTER_BYTES)
    signed = load64(row + _SIGNED) != 0
    for part in range(count):
        data = registers + load64(row + _DATA + 8 * part)
        if writes:
            _store(addresses, part * element, element, data, wide, mask)
        else:
            _load(addresses, part * element, element, signed, data, wide, mask)
    return True


@compiled
def _add(at: int, value: int) -> None:
    store64(at, load64(at) + value)


@compiled
def _move(addresses: int, start: int, pitch: int) -> None:
    for lane in range(WARP):
        _add(addresses + 8 * lane, start + lane * pitch)


@compiled
def _find_addresses(addresses: int, registers: int, row: int) -> None:
    base = registers + load64(row + _BASE)
    offset, width = load64(row + _OFFSET), load64(row + _BASE_BYTES)
    if width == 8:
        for lane in range(WARP):
            store64(addresses + 8 * lane, load64(base + 8 * lane) + offset)
        return
    sign = 0x80000000 if width < 0 else 0
    for lane in range(WARP):
        word = load32(base + 4 * lane)
        store64(addresses + 8 * lane, word - ((word & sign) << 1) + offset)


@compiled
def _fits(m: Any, space: int, mask: int, size: int) -> bool:
    """Whether all addresses are aligned and inside of memory.

    Global ones are then kept as units, and become addresses of this process.
    """
    addresses = m.room + _ADDRESSES
    low, high, odd = 1 << 62, -(1 << 62), 0
    for lane in range(WARP):
        if mask >> lane & 1:
            address = load64(addresses + 8 * lane)
            low, high, odd = min(low, address), max(high, address), odd | address
    if odd & (size - 1):
        return False
    if space != GLOBAL:
        return bool(low >= 0 and high + size <= (m.shared_bytes if space == SHARED else m.local_bytes))
    first, last = 0, m.allocations
    while first < last:
        middle = (first + last) // 2
        if load64(m.starts + 8 * middle) <= low:
            first = middle + 1
        else:
            last = middle
    owner = 8 * (first - 1)
    if owner < 0 or high + size > load64(m.starts + owner) + load64(m.sizes + owner):
        return False
    to_host = load64(m.hosts + owner) - load64(m.starts + owner)
    for lane in range(WARP):
        address = load64(addresses + 8 * lane)
        store64(m.room + _UNITS + 8 * lane, address)
        store64(addresses + 8 * lane, address + to_host)
    return True


@compiled
def _is_repeated(units: int, shift: int, unit: int, first: int, lane: int, mask: int) -> bool:
    """Whether an active lane from ``first`` on, before this one, has the same unit."""
    for other in range(first, lane):  # noqa: SIM110 - Numba knows no generators
        if mask >> other & 1 and load64(units + 8 * other) >> shift == unit:
            return True
    return False


@compiled
def _distinct(room: int, units: int, mask: int, shift: int) -> int:
    """How many different units the active lanes have, shifted by ``shift``."""
    seen = room + _SEEN
    for place in range(_PLACES):
        store64(seen + 8 * place, _NO_UNIT)
    found = 0
    for lane in range(WARP):
        if not mask >> lane & 1:
            continue
        unit = load64(units + 8 * lane) >> shift
        at = seen + 8 * (unit & (_PLACES - 1))
        there = load64(at)
        if there == unit or (there != _NO_UNIT and _is_repeated(units, shift, unit, 0, lane, mask)):
            continue
        store64(at, unit)
        found += 1
    return found


@compiled
def _share(m: Any, block: int, warp: int, mask: int, size: int, writes: bool) -> bool:
    """Charge an access to shared memory; False if it races with another."""
    addresses, units = m.room + _ADDRESSES, m.room + _UNITS
    seen, groups, loads = m.room + _SEEN, m.room + _GROUPS, m.room + _LOADS
    unit_bytes = max(size, WORD_BYTES)
    shift = 4 if unit_bytes == 16 else 3 if unit_bytes == 8 else 2
    words = unit_bytes // WORD_BYTES
    banks = _HANDLED_BYTES // unit_bytes
    together = WARP // words  # lanes that are served together
    thread = warp % m.warps_of_block * WARP
    stamp = load64(m.block_period + 8 * block) << 32 | load64(m.warp_period + 8 * warp)
    races = m.races + block * m.races_pitch
    for place in range(banks):
        store64(seen + 8 * place, _NO_UNIT)
        store64(groups + 8 * place, -1)
    cycles, served, current, deepest = 0, 0, -1, 0
    for lane in range(WARP):
        if not mask >> lane & 1:
            continue
        group = lane // together
        if group != current:
            cycles, served, current, deepest = cycles + deepest, served + 1, group, 0
        address = load64(addresses + 8 * lane)
        unit = address >> shift
        store64(units + 8 * lane, unit)
        bank = 8 * (unit & (banks - 1))
        is_known = load64(seen + bank) == unit
        depth = load64(loads + bank)
        if load64(groups + bank) != group:
            store64(groups + bank, group)
            depth = 1
        elif not is_known and not _is_repeated(units, 0, unit, group * together, lane, mask):
            depth += 1
        store64(loads + bank, depth)
        deepest = max(deepest, depth)
        store64(seen + bank, unit)
        first = address // WORD_BYTES
        if writes:
            if not write(races, first, words, thread + lane, stamp, size >= WORD_BYTES):
                return False
        elif is_known:
            note_reader(races, first, words, thread + lane)
        elif not read(races, first, words, thread + lane, stamp):
            return False
    _add(m.totals + _CYCLES, cycles + deepest)
    _add(m.totals + _LEAST_CYCLES, served)
    return True


@compiled
def _load(addresses: int, offset: int, size: int, signed: bool, data: int, wide: int, mask: int) -> None:
    """An element of every active lane to a register of ``wide`` bytes, extended by its sign or by zeros."""
    if size == 4 and wide == 4:
        for lane in range(WARP):
            if mask >> lane & 1:
                store32(data + 4 * lane, load32(load64(addresses + 8 * lane) + offset))
        return
    for lane in range(WARP):
        if not mask >> lane & 1:
            continue
        at = load64(addresses + 8 * lane) + offset
        value = load8(at) if size == 1 else load16(at) if size == 2 else load32(at) if size == 4 else load64(at)
        if signed and size < 8:
            half = 1 << (8 * size - 1)
            value = (value ^ half) - half
        if wide == 2:
            store16(data + 2 * lane, value)
        elif wide == 4:
            store32(data + 4 * lane, value)
        elif wide == 8:
            store64(data + 8 * lane, value)
        else:
            store8(data + lane, value)


@compiled
def _store(addresses: int, offset: int, size: int, data: int, wide: int, mask: int) -> None:
    """The low bytes of a register of ``wide`` bytes to an element of every active lane; the last lane's stays."""
    for lane in range(WARP):
        if not mask >> lane & 1:
            continue
        at = load64(addresses + 8 * lane) + offset
        source = data + wide * lane
        if size == 4:
            store32(at, load32(source))
        elif size == 8:
            store64(at, load64(source))
        elif size == 2:
            store16(at, load16(source))
        else:
            store8(at, load8(source))
