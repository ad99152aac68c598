"""Live ranges, registers that share a place, and reads of what nothing has written."""

from __future__ import annotations

import numpy as np

from cnnc.ptx import parse_ptx
from cnnc.ptx.liveness import live_ranges
from cnnc.ptx.registers import RegisterFile, register_layout
from cnnc.ptx.undefined import undefined_reads
from tests.ptx.snippets import entry, run_snippet


def parsed(body: str):
    return parse_ptx(entry(f".reg .b32 %a, %b, %c, %d; .reg .pred %p; {body}")).entries["kernel"]


def test_a_straight_line_reuses_places() -> None:
    kernel = parsed("mov.u32 %a, 1; add.u32 %b, %a, 1; add.u32 %c, %b, 1; add.u32 %d, %c, 1; add.u32 %a, %d, %d; ret;")
    assert live_ranges(kernel) == {"%a": (0, 4), "%b": (1, 2), "%c": (2, 3), "%d": (3, 4)}
    slots = register_layout(kernel).slots
    assert slots["%b"].offset == slots["%d"].offset
    assert len({slots[name].offset for name in ("%a", "%b", "%c")}) == 3


def test_a_loop_keeps_what_it_reads_again() -> None:
    kernel = parsed(
        """mov.u32 %a, 0; mov.u32 %b, 5; L: add.u32 %c, %b, 1; add.u32 %a, %a, %c;
        setp.lt.u32 %p, %a, 99; @%p bra L; ret;"""
    )
    ranges = live_ranges(kernel)
    assert ranges["%a"] == (0, 5)
    assert ranges["%b"] == (1, 5)
    assert ranges["%c"] == (2, 3)


def test_a_guarded_write_keeps_the_old_value() -> None:
    kernel = parsed(
        """mov.u32 %a, 1; mov.u32 %b, 2; setp.lt.u32 %p, %b, 3; mov.u32 %c, %b;
        @%p mov.u32 %a, 7; add.u32 %d, %a, %c; ret;"""
    )
    assert live_ranges(kernel)["%a"] == (0, 5)


def test_reads_of_nothing() -> None:
    kernel = parsed("setp.lt.u32 %p, 1, 2; @%p bra L; mov.u32 %a, 1; L: add.u32 %b, %a, %c; ret;")
    assert undefined_reads(kernel) == {3: "%c"}  # some path writes %a


def test_threads_on_two_sides_share_places_without_harm() -> None:
    body = """.reg .b32 %x, %y, %u, %v; .reg .pred %p; setp.lt.u32 %p, %thread, 11; @%p bra LOW;
    mul.lo.u32 %x, %thread, 3; add.u32 %y, %x, 1; mul.lo.u32 %d, %y, %x; bra END;
    LOW: mul.lo.u32 %u, %thread, 5; add.u32 %v, %u, 2; mul.lo.u32 %d, %v, %u; END:"""
    found, _ = run_snippet(body, {}, {"%d": "u32"}, threads=64)
    lane = np.arange(64)
    assert np.array_equal(found["%d"], np.where(lane < 11, (5 * lane + 2) * 5 * lane, (3 * lane + 1) * 3 * lane))


def test_register_file_of_several_types() -> None:
    body = """.reg .pred %p; .reg .b16 %h; .reg .f64 %w; setp.eq.u32 %p, 1, 1; mov.u16 %h, 3;
    mov.f64 %w, 0d0000000000000000; @%p mov.u16 %h, 4; add.f64 %w, %w, %w; ret;"""
    kernel = parse_ptx(entry(body)).entries["kernel"]
    file = RegisterFile(register_layout(kernel), warps=3)
    flags, halves, wide = np.arange(96) % 3 == 0, np.arange(96, dtype=np.uint16), np.arange(96) / 7
    for name, values in (("%p", flags), ("%h", halves), ("%w", wide)):
        file.write(name, values, None)
    active = np.arange(96) % 2 == 0
    file.write("%p", np.ones(96, bool), active)
    file.write("%h", np.uint16(7), active)
    assert np.array_equal(file.read("%p"), flags | active)
    assert np.array_equal(file.read("%h"), np.where(active, 7, halves))
    assert np.array_equal(file.read("%w"), wide)
