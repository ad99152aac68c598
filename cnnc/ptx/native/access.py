"""Loads and stores of a warp, for Numba: checked and charged as ``cnnc.ptx.transfer`` says.

An access that cannot be done is not begun: ``access`` gives False, and the NumPy meaning finds out why. What it charges
are numbers of distinct *units*: sectors, banks' words, elements. A unit has a place in a small table by its lowest
bits; only where another unit is found there are the lanes before searched.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from cnnc.ptx.native.pointers import load8, load16, load32, load64, store8, store16, store32, store64
from cnnc.ptx.native.program import GLOBAL, SHARED, Field
from cnnc.ptx.native.state import NO_UNIT, Total
from cnnc.ptx.races import SEVERAL, STAMP_BITS, WORD_BYTES
from cnnc.ptx.registers import WARP

_HANDLED_BYTES = 128
"""Bytes of shared memory that are served in a cycle."""
_SECTOR = 32
_LOW = (1 << STAMP_BITS) - 1

# Numba takes the numbers of an enumeration only where they are plain integers.
_BASE, _BASE_BYTES, _OFFSET, _SIZE, _COUNT = (
    int(field) for field in (Field.BASE, Field.BASE_BYTES, Field.OFFSET, Field.SIZE, Field.COUNT)
)
_SIGNED, _REGISTER_BYTES, _SPACE, _DATA = (
    int(field) for field in (Field.SIGNED, Field.REGISTER_BYTES, Field.SPACE, Field.DATA)
)
_SECTORS, _LEAST_SECTORS, _CYCLES, _LEAST_CYCLES = (
    int(total) for total in (Total.SECTORS, Total.LEAST_SECTORS, Total.SHARED_CYCLES, Total.LEAST_SHARED_CYCLES)
)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def access(s: Any, pc: int, warp: int, mask: int, writes: bool) -> bool:
    """Do load or store ``pc`` of the threads ``mask`` of a warp; False if the NumPy meaning must do it."""
    row = s.table[pc]
    size = row[_SIZE] * row[_COUNT]
    _find_addresses(s, row, warp)
    space = row[_SPACE]
    if not _fits(s, space, warp, mask, size):
        return False
    if space == GLOBAL:
        _charge_sectors(s, mask, size)
    elif space == SHARED:
        block = warp // s.warps_of_block
        thread = warp % s.warps_of_block * WARP
        if not _charge_banks(s, block, thread, warp, mask, size, writes):
            return False
        for lane in range(WARP):
            s.addresses[lane] += s.shared + block * s.shared_pitch
    else:
        for lane in range(WARP):
            s.addresses[lane] += s.local + (warp * WARP + lane) * s.local_pitch
    for part in range(row[_COUNT]):
        data = s.rows + warp * s.row_bytes + row[_DATA + part]
        if writes:
            _store(s.addresses, part * row[_SIZE], row[_SIZE], data, row[_REGISTER_BYTES], mask)
        else:
            _load(s.addresses, part * row[_SIZE], row[_SIZE], row[_SIGNED] != 0, data, row[_REGISTER_BYTES], mask)
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_addresses(s: Any, row: Any, warp: int) -> None:
    base = s.rows + warp * s.row_bytes + row[_BASE]
    offset = row[_OFFSET]
    if row[_BASE_BYTES] == 8:
        for lane in range(WARP):
            s.addresses[lane] = load64(base + 8 * lane) + offset
        return
    signed = row[_BASE_BYTES] < 0
    for lane in range(WARP):
        word = load32(base + 4 * lane)
        s.addresses[lane] = (word - ((word & 0x80000000) << 1) if signed else word) + offset


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fits(s: Any, space: int, warp: int, mask: int, size: int) -> bool:
    """Whether all addresses are aligned and inside of memory; global ones then become those of this process."""
    low, high, odd = (1 << 62), -(1 << 62), 0
    for lane in range(WARP):
        if mask >> lane & 1:
            address = s.addresses[lane]
            low, high, odd = min(low, address), max(high, address), odd | address
    if odd & (size - 1):
        return False
    if space != GLOBAL:
        return bool(low >= 0 and high + size <= (s.shared_bytes if space == SHARED else s.local_bytes))
    first, last = 0, len(s.starts)
    while first < last:
        middle = (first + last) // 2
        if s.starts[middle] <= low:
            first = middle + 1
        else:
            last = middle
    owner = first - 1
    if owner < 0 or high + size > s.starts[owner] + s.sizes[owner]:
        return False
    to_host = s.hosts[owner] - s.starts[owner]
    for lane in range(WARP):
        s.units[lane] = s.addresses[lane]
        s.addresses[lane] += to_host
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _seen_before(s: Any, unit: int, lane: int, first: int, mask: int) -> bool:
    """Whether a lane from ``first`` on, before this one, has the same unit."""
    for other in range(first, lane):  # noqa: SIM110 - Numba knows no generators
        if mask >> other & 1 and s.units[other] == unit:
            return True
    return False


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _distinct(s: Any, mask: int, shift: int) -> int:
    """How many different units the active lanes have, an address shifted by ``shift`` being one."""
    places = 64
    for place in range(places):
        s.seen[place] = NO_UNIT
    found = 0
    for lane in range(WARP):
        if mask >> lane & 1:
            unit = s.units[lane] >> shift
            place = unit & (places - 1)
            if s.seen[place] == unit:
                continue
            if s.seen[place] != NO_UNIT:
                repeated = False
                for other in range(lane):
                    if mask >> other & 1 and s.units[other] >> shift == unit:
                        repeated = True
                        break
                if repeated:
                    continue
            s.seen[place] = unit
            found += 1
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _charge_sectors(s: Any, mask: int, size: int) -> None:
    s.totals[_SECTORS] += _distinct(s, mask, 5)
    s.totals[_LEAST_SECTORS] += (_distinct(s, mask, 0) * size + _SECTOR - 1) // _SECTOR


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _charge_banks(s: Any, block: int, thread: int, warp: int, mask: int, size: int, writes: bool) -> bool:
    """Charge an access to shared memory; False if it races with another."""
    unit_bytes = max(size, WORD_BYTES)
    banks = _HANDLED_BYTES // unit_bytes
    together = WARP * WORD_BYTES // unit_bytes  # lanes that are served together
    period = s.block_period[block]
    warp_time = s.warp_period[warp]
    stamp = period << STAMP_BITS | warp_time
    for place in range(banks):
        s.seen[place], s.stamps[place] = NO_UNIT, -1
    cycles, groups, charged, deepest = 0, 0, -1, 0
    for lane in range(WARP):
        if not mask >> lane & 1:
            continue
        group = lane // together
        if group != charged:
            cycles, groups, charged, deepest = cycles + deepest, groups + 1, group, 0
        unit = s.addresses[lane] // unit_bytes
        s.units[lane] = unit
        bank = unit % banks
        is_known = s.seen[bank] == unit
        if s.stamps[bank] != group:
            s.stamps[bank], s.loads[bank] = group, 1
        elif not is_known and not _seen_before(s, unit, lane, group * together, mask):
            s.loads[bank] += 1
        deepest = max(deepest, s.loads[bank])
        s.seen[bank] = unit
        first = s.addresses[lane] // WORD_BYTES
        words = unit_bytes // WORD_BYTES
        if writes:
            if not _note_write(s, block, thread + lane, first, words, stamp, size >= WORD_BYTES):
                return False
        elif is_known:
            # Another lane of this warp has just read the same words.
            for word in range(first, first + words):
                if s.reader[block, word] >= 0 and s.reader[block, word] != thread + lane:
                    s.reader[block, word] = SEVERAL - 1 - thread // WARP
        elif not _note_read(s, block, thread + lane, first, words, stamp):
            return False
    s.totals[_CYCLES] += cycles + deepest
    s.totals[_LEAST_CYCLES] += groups
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _note_read(s: Any, block: int, thread: int, first: int, words: int, stamp: int) -> bool:
    """Note that a thread reads words, as ``SharedRaces.read``; False where it races."""
    warp = thread // WARP
    period = stamp >> STAMP_BITS
    for word in range(first, first + words):
        written = s.written[block, word]
        if written >> STAMP_BITS == period:
            other = s.writer[block, word]
            if other != thread and not (other // WARP == warp and (written & _LOW) < (stamp & _LOW)):
                return False
        reader = thread
        if s.read_at[block, word] >> STAMP_BITS == period:
            before = s.reader[block, word]
            if before != thread:
                owner = before // WARP if before >= 0 else SEVERAL - 1 - before
                reader = SEVERAL - 1 - warp if owner == warp else SEVERAL
        s.reader[block, word] = reader
        s.read_at[block, word] = stamp
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _note_write(s: Any, block: int, thread: int, first: int, words: int, stamp: int, checked: bool) -> bool:
    """The same for a write."""
    warp = thread // WARP
    period = stamp >> STAMP_BITS
    for word in range(first, first + words):
        if checked:
            written = s.written[block, word]
            if written >> STAMP_BITS == period:
                other = s.writer[block, word]
                if other != thread and not (other // WARP == warp and (written & _LOW) < (stamp & _LOW)):
                    return False
            read_at = s.read_at[block, word]
            if read_at >> STAMP_BITS == period:
                before = s.reader[block, word]
                owner = before // WARP if before >= 0 else SEVERAL - 1 - before
                if before != thread and not (owner == warp and (read_at & _LOW) < (stamp & _LOW)):
                    return False
        s.writer[block, word] = thread
        s.written[block, word] = stamp
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _load(addresses: Any, offset: int, size: int, signed: bool, data: int, wide: int, mask: int) -> None:
    """An element of every active lane to a register of ``wide`` bytes, extended by its sign or by zeros."""
    if size == 4 and wide == 4:
        for lane in range(WARP):
            if mask >> lane & 1:
                store32(data + 4 * lane, load32(addresses[lane] + offset))
        return
    for lane in range(WARP):
        if not mask >> lane & 1:
            continue
        at = addresses[lane] + offset
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _store(addresses: Any, offset: int, size: int, data: int, wide: int, mask: int) -> None:
    """The low bytes of a register of ``wide`` bytes to an element of every active lane; the last lane's stays."""
    for lane in range(WARP):
        if not mask >> lane & 1:
            continue
        at = addresses[lane] + offset
        source = data + wide * lane
        if size == 4:
            store32(at, load32(source))
        elif size == 8:
            store64(at, load64(source))
        elif size == 2:
            store16(at, load16(source))
        else:
            store8(at, load8(source))
