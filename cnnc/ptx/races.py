"""Finds races on shared memory: two threads of a block touch a word, one of them writes, and nothing orders them.

A barrier of the block orders everything before it and everything behind; a barrier of a warp orders its threads. For
every word the last writer and the last reader are kept, with the numbers of the block's and the warp's barrier period
in which they did it. Of several readers one is kept, or that they were several.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WORD_BYTES = 4

_NOBODY, _SEVERAL = -1, -2


class SharedRaces:
    """Of the shared memory of some blocks.

    Args:
        blocks, size: number of blocks, bytes of shared memory of each.
        warp_of, thread_of, block_of: of every lane.
    """

    def __init__(self, blocks: int, size: int, warp_of: Array, thread_of: Array, block_of: Array) -> None:
        words = -(-size // WORD_BYTES)
        self.warp_of, self.thread_of, self.block_of = warp_of, thread_of, block_of
        self.writer = np.full((blocks, words), _NOBODY, np.int32)
        self.reader = np.full((blocks, words), _NOBODY, np.int32)
        self.reader_warp = np.full((blocks, words), _NOBODY, np.int32)
        self.write_time = np.zeros((blocks, words), np.int64)
        self.read_time = np.zeros((blocks, words), np.int64)
        self.block_period = np.zeros(blocks, np.int64)
        self.warp_period = np.zeros(int(warp_of.max()) + 1 if warp_of.size else 0, np.int64)

    def barrier(self, blocks: Array) -> None:
        """All threads of these blocks have met."""
        self.block_period[blocks] += 1
        self.writer[blocks] = _NOBODY
        self.reader[blocks] = _NOBODY

    def warp_barrier(self, warps: Array) -> None:
        """The threads of these warps have met."""
        self.warp_period[warps] += 1

    def read(self, lanes: Array, offsets: Array, size: int) -> int | None:
        """Threads of ``lanes`` read ``size`` bytes at byte ``offsets``; the offset of a race, if there is one."""
        for block, word, lane in self._words(lanes, offsets, size):
            race = self._conflicts(self.writer[block, word], self.write_time[block, word], lane)
            if race.any():
                return int(word[np.flatnonzero(race)[0]]) * WORD_BYTES
            warp = self.warp_of[lane]
            before, before_warp = self.reader[block, word], self.reader_warp[block, word]
            thread = self.thread_of[lane]
            others = (before != _NOBODY) & (before != thread)
            self.reader[block, word] = np.where(others, _SEVERAL, thread)
            self.reader_warp[block, word] = np.where((before != _NOBODY) & (before_warp != warp), _SEVERAL, warp)
            self.read_time[block, word] = self.warp_period[warp]
            # Several readers of one word in one instruction: all but the last were overwritten.
            self._note_several(block, word, lane)
        return None

    def write(self, lanes: Array, offsets: Array, size: int) -> int | None:
        """As ``read``, for writes; threads that write one word in one instruction race too."""
        for block, word, lane in self._words(lanes, offsets, size):
            race = self._conflicts(self.writer[block, word], self.write_time[block, word], lane)
            race |= self._read_conflicts(block, word, lane)
            key = block * self.writer.shape[1] + word
            order = np.argsort(key, kind="stable")
            same = key[order][1:] == key[order][:-1]
            apart = self.thread_of[lane[order]][1:] != self.thread_of[lane[order]][:-1]
            if size >= WORD_BYTES and bool((same & apart).any()):
                return int(word[order][1:][same & apart][0]) * WORD_BYTES
            if race.any() and size >= WORD_BYTES:
                return int(word[np.flatnonzero(race)[0]]) * WORD_BYTES
            self.writer[block, word] = self.thread_of[lane]
            self.write_time[block, word] = self.warp_period[self.warp_of[lane]]
        return None

    def _words(self, lanes: Array, offsets: Array, size: int) -> list[tuple[Array, Array, Array]]:
        block = self.block_of[lanes]
        return [(block, (offsets + part) // WORD_BYTES, lanes) for part in range(0, size, WORD_BYTES)]

    def _conflicts(self, other: Array, time: Array, lane: Array) -> Array:
        """Whether the thread ``other`` touched the word without a barrier in between."""
        is_other = (other != _NOBODY) & (other != self.thread_of[lane])
        same_warp = other // 32 == self.thread_of[lane] // 32
        return np.asarray(is_other & ~(same_warp & (time < self.warp_period[self.warp_of[lane]])))

    def _read_conflicts(self, block: Array, word: Array, lane: Array) -> Array:
        reader, warp = self.reader[block, word], self.reader_warp[block, word]
        is_other = (reader != _NOBODY) & (reader != self.thread_of[lane])
        own_warp = warp == self.warp_of[lane]
        ordered = own_warp & (self.read_time[block, word] < self.warp_period[self.warp_of[lane]])
        return np.asarray(is_other & ~ordered)

    def _note_several(self, block: Array, word: Array, lane: Array) -> None:
        key = block * self.reader.shape[1] + word
        order = np.argsort(key, kind="stable")
        same = key[order][1:] == key[order][:-1]
        if not same.any():
            return
        for mine, field in ((self.thread_of, self.reader), (self.warp_of, self.reader_warp)):
            values = mine[lane[order]]
            apart = same & (values[1:] != values[:-1])
            places = order[1:][apart]
            field[block[places], word[places]] = _SEVERAL
