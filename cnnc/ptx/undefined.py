"""Finds instructions that read a register which nothing has written, whatever path led there."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from cnnc.ptx.control_flow import successors
from cnnc.ptx.liveness import register_bits, results, sources
from cnnc.ptx.module import Entry


@functools.lru_cache(maxsize=256)
def undefined_reads(entry: Entry) -> Mapping[int, str]:
    """Index of an instruction -> the register that it reads and that no path to it has written."""
    numbers = {name: number for number, name in enumerate(entry.registers)}
    reads = [register_bits(numbers, sources(instruction)) for instruction in entry.body]
    writes = [register_bits(numbers, results(instruction)) for instruction in entry.body]
    after = successors(entry)
    written = [-1] * (len(entry.body) + 1)  # -1: not reached yet
    written[0] = 0
    todo = [0]
    while todo:
        index = todo.pop()
        if index == len(entry.body):
            continue
        found = written[index] | writes[index]
        for following in after[index]:
            merged = found if written[following] < 0 else written[following] | found
            if merged != written[following]:
                written[following] = merged
                todo.append(following)
    names = list(numbers)
    return {
        index: names[(missing & -missing).bit_length() - 1]
        for index, read in enumerate(reads)
        if written[index] >= 0 and (missing := read & ~written[index])
    }
