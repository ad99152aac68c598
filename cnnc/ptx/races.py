"""Finds races on shared memory: two threads of a block touch a word, one of them writes, and nothing orders them.

A barrier of the block orders everything before it and everything behind; a barrier of a warp orders its threads. For
every word the last writer and the last reader are kept, each with a *stamp*: the number of barriers that the block and
the warp had met until then. Of several readers it is kept that they were several, and whether they were of one warp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.ptx.lanes import Lanes
from cnnc.ptx.registers import WARP

Array = np.ndarray[Any, Any]

WORD_BYTES = 4

SEVERAL = -1
"""The reader of a word that threads of several warps read; threads of warp w alone are ``SEVERAL - 1 - w``."""

NEVER = -1
"""Stamp of what did not happen."""

STAMP_BITS = 32
"""A stamp is the block's barriers, shifted by as many bits, and the warp's."""


RECORD = np.dtype([("written", "<i8"), ("read_at", "<i8"), ("writer", "<i4"), ("reader", "<i4")])
"""Of a word: the stamps, and threads' numbers in their block."""

RECORD_BYTES = 24


class SharedRaces:
    """Of the shared memory of some blocks.

    Args:
        lanes: of these blocks.
        size: bytes of shared memory of each.

    Attributes:
        records: a ``RECORD`` for every word of every block.
        block_period, warp_period: barriers that every block and every warp has met.
    """

    def __init__(self, lanes: Lanes, size: int) -> None:
        blocks, words = len(lanes.blocks), -(-size // WORD_BYTES)
        self.lanes = lanes
        self.records = np.zeros((blocks, words), RECORD)
        self.writer, self.reader = self.records["writer"], self.records["reader"]
        self.written, self.read_at = self.records["written"], self.records["read_at"]
        self.written[...] = self.read_at[...] = NEVER
        self.block_period = np.zeros(blocks, np.int64)
        self.warp_period = np.zeros(blocks * lanes.padded // WARP, np.int64)

    def barrier(self, blocks: Array) -> None:
        """All threads of these blocks have met."""
        self.block_period[blocks] += 1

    def warp_barrier(self, warps: Array) -> None:
        """The threads of these warps have met."""
        self.warp_period[warps] += 1

    def read(self, lanes: Array, offsets: Array, size: int) -> int | None:
        """Threads of ``lanes`` read ``size`` bytes at byte ``offsets``; the offset of a race, if there is one."""
        for block, word, lane in self._words(lanes, offsets, size):
            race = self._write_conflicts(block, word, lane)
            if race.any():
                return int(word[np.flatnonzero(race)[0]]) * WORD_BYTES
            thread = self.lanes.thread_of[lane]
            before = self.reader[block, word]
            others = self._is_current(self.read_at[block, word], block) & (before != thread)
            same_warp = self._warp_of_reader(before) == thread // 32
            several = np.where(same_warp, SEVERAL - 1 - thread // 32, SEVERAL)
            self.reader[block, word] = np.where(others, several, thread)
            self.read_at[block, word] = self._stamp(lane)
            # Several readers of one word in one instruction: all but the last were overwritten.
            self._note_several(block, word, lane)
        return None

    def write(self, lanes: Array, offsets: Array, size: int) -> int | None:
        """As ``read``, for writes; threads that write one word in one instruction race too."""
        for block, word, lane in self._words(lanes, offsets, size):
            race = self._write_conflicts(block, word, lane) | self._read_conflicts(block, word, lane)
            key = block * self.writer.shape[1] + word
            order = np.argsort(key, kind="stable")
            same = key[order][1:] == key[order][:-1]
            apart = self.lanes.thread_of[lane[order]][1:] != self.lanes.thread_of[lane[order]][:-1]
            if size >= WORD_BYTES and bool((same & apart).any()):
                return int(word[order][1:][same & apart][0]) * WORD_BYTES
            if race.any() and size >= WORD_BYTES:
                return int(word[np.flatnonzero(race)[0]]) * WORD_BYTES
            self.writer[block, word] = self.lanes.thread_of[lane]
            self.written[block, word] = self._stamp(lane)
        return None

    def _words(self, lanes: Array, offsets: Array, size: int) -> list[tuple[Array, Array, Array]]:
        block = self.lanes.block_of[lanes]
        return [(block, (offsets + part) // WORD_BYTES, lanes) for part in range(0, size, WORD_BYTES)]

    def _stamp(self, lane: Array) -> Array:
        return np.asarray(
            self.block_period[self.lanes.block_of[lane]] << STAMP_BITS | self.warp_period[self.lanes.warp_of[lane]]
        )

    def _is_current(self, stamp: Array, block: Array) -> Array:
        """Whether no barrier of the block lies between the stamp and now."""
        return np.asarray(stamp >> STAMP_BITS == self.block_period[block])

    def _is_before_warp_barrier(self, stamp: Array, lane: Array) -> Array:
        return np.asarray((stamp & ((1 << STAMP_BITS) - 1)) < self.warp_period[self.lanes.warp_of[lane]])

    @staticmethod
    def _warp_of_reader(reader: Array) -> Array:
        """A warp's number in its block; -1 for threads of several."""
        return np.where(reader >= 0, reader // 32, SEVERAL - 1 - reader)

    def _write_conflicts(self, block: Array, word: Array, lane: Array) -> Array:
        """Whether another thread wrote the word without a barrier in between."""
        other, stamp, thread = self.writer[block, word], self.written[block, word], self.lanes.thread_of[lane]
        ordered = (other // 32 == thread // 32) & self._is_before_warp_barrier(stamp, lane)
        return np.asarray(self._is_current(stamp, block) & (other != thread) & ~ordered)

    def _read_conflicts(self, block: Array, word: Array, lane: Array) -> Array:
        """The same, of reads."""
        other, stamp, thread = self.reader[block, word], self.read_at[block, word], self.lanes.thread_of[lane]
        ordered = (self._warp_of_reader(other) == thread // 32) & self._is_before_warp_barrier(stamp, lane)
        return np.asarray(self._is_current(stamp, block) & (other != thread) & ~ordered)

    def _note_several(self, block: Array, word: Array, lane: Array) -> None:
        key = block * self.reader.shape[1] + word
        order = np.argsort(key, kind="stable")
        thread = self.lanes.thread_of[lane[order]]
        same = key[order][1:] == key[order][:-1]
        for apart, value in (
            (thread[1:] != thread[:-1], SEVERAL - 1 - thread[1:] // 32),
            (thread[1:] // 32 != thread[:-1] // 32, np.full(len(same), SEVERAL)),
        ):
            chosen = same & apart
            places = order[1:][chosen]
            self.reader[block[places], word[places]] = value[chosen]
