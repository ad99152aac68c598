"""The race check of ``cnnc.ptx.races`` for one thread, for Numba: a record of 24 bytes for each word."""

from __future__ import annotations

from cnnc.ptx.native.compiled import compiled
from cnnc.ptx.native.pointers import load32, load64, store32, store64
from cnnc.ptx.races import RECORD_BYTES, SEVERAL, STAMP_BITS
from cnnc.ptx.registers import WARP

_WRITTEN, _READ_AT, _WRITER, _READER = 0, 8, 16, 20
"""Where the fields of a record lie."""
_LOW = (1 << STAMP_BITS) - 1


@compiled
def read(races: int, first: int, words: int, thread: int, stamp: int) -> bool:
    """Note that a thread reads words; False where it races with a writer.

    ``races`` is the address of its block's records, ``stamp`` what it writes into them.
    """
    for word in range(first, first + words):
        record = races + RECORD_BYTES * word
        if _conflicts(load64(record + _WRITTEN), _signed(load32(record + _WRITER)), thread, stamp):
            return False
        reader = thread
        if load64(record + _READ_AT) >> STAMP_BITS == stamp >> STAMP_BITS:
            before = _signed(load32(record + _READER))
            if before != thread:
                reader = SEVERAL - 1 - thread // WARP if _warp(before) == thread // WARP else SEVERAL
        store32(record + _READER, reader)
        store64(record + _READ_AT, stamp)
    return True


@compiled
def note_reader(races: int, first: int, words: int, thread: int) -> None:
    """Note that a thread reads words that another of its warp has just read."""
    for word in range(first, first + words):
        at = races + RECORD_BYTES * word + _READER
        before = _signed(load32(at))
        if before >= 0 and before != thread:
            store32(at, SEVERAL - 1 - thread // WARP)


@compiled
def write(races: int, first: int, words: int, thread: int, stamp: int, checked: bool) -> bool:
    """Note that a thread writes words; False where it is ``checked`` and races with a writer or reader."""
    for word in range(first, first + words):
        record = races + RECORD_BYTES * word
        if checked:
            if _conflicts(load64(record + _WRITTEN), _signed(load32(record + _WRITER)), thread, stamp):
                return False
            if _conflicts(load64(record + _READ_AT), _signed(load32(record + _READER)), thread, stamp):
                return False
        store32(record + _WRITER, thread)
        store64(record + _WRITTEN, stamp)
    return True


@compiled
def _conflicts(then: int, other: int, thread: int, now: int) -> bool:
    """Whether ``other`` touched a word at ``then``, and no barrier lies between it and this thread's ``now``."""
    if then >> STAMP_BITS != now >> STAMP_BITS or other == thread:
        return False
    return _warp(other) != thread // WARP or (then & _LOW) >= (now & _LOW)


@compiled
def _warp(reader: int) -> int:
    return reader // WARP if reader >= 0 else SEVERAL - 1 - reader


@compiled
def _signed(word: int) -> int:
    return (word ^ 0x80000000) - 0x80000000
