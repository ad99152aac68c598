"""Branches, loops, barriers and ends of threads."""

import numpy as np
import pytest

from cnnc.errors import InputError, ModelError, UnsupportedError
from cnnc.ptx import Emulator, parse_ptx
from cnnc.ptx.control_flow import meeting_points
from tests.ptx.snippets import entry, run_snippet


def test_both_sides_of_a_branch():
    body = """.reg .pred %p; setp.lt.u32 %p, %thread, 10; @%p bra LOW; mov.u32 %d, 200; bra.uni END;
    LOW: mov.u32 %d, 100; END: add.u32 %d, %d, %thread;"""
    found, counters = run_snippet(body, {}, {"%d": "u32"})
    assert np.array_equal(found["%d"], np.arange(32) + np.where(np.arange(32) < 10, 100, 200))
    assert counters.divergent_branches == 1


def test_warps_that_agree_do_not_diverge():
    body = ".reg .pred %p; mov.u32 %d, 0; setp.lt.u32 %p, %thread, 32; @%p bra END; mov.u32 %d, 1; END:"
    found, counters = run_snippet(body, {}, {"%d": "u32"}, threads=64)
    assert np.array_equal(found["%d"], np.repeat([0, 1], 32))
    assert counters.branches == 2 and counters.divergent_branches == 0


def test_loop_of_as_many_rounds_as_the_thread_says():
    body = """.reg .pred %p; mov.u32 %d, 0; mov.u32 %e, 0; LOOP: setp.ge.u32 %p, %e, %n; @%p bra END;
    add.u32 %d, %d, %e; add.u32 %e, %e, 1; bra LOOP; END:"""
    counts = np.arange(32) % 7
    found, counters = run_snippet(body, {"%n": ("u32", counts)}, {"%d": "u32", "%e": "u32"})
    assert np.array_equal(found["%d"], counts * (counts - 1) // 2)
    assert np.array_equal(found["%e"], counts)
    assert counters.divergent_branches == 6


def test_nested_branches_meet_where_all_paths_do():
    body = """.reg .pred %p, %q; setp.lt.u32 %p, %thread, 16; and.b32 %e, %thread, 1; setp.eq.u32 %q, %e, 0;
    mov.u32 %d, 0; @!%p bra ELSE; @%q bra EVEN; add.u32 %d, %d, 1; bra JOIN; EVEN: add.u32 %d, %d, 2;
    JOIN: add.u32 %d, %d, 10; bra END; ELSE: mov.u32 %d, 5; END: add.u32 %d, %d, 100;"""
    found, _ = run_snippet(body, {}, {"%d": "u32", "%e": "u32"})
    lane = np.arange(32)
    assert np.array_equal(found["%d"], 100 + np.where(lane < 16, 10 + np.where(lane % 2, 1, 2), 5))


def test_meeting_points():
    module = parse_ptx(entry(".reg .pred %p; @%p bra A; add.u32 %r, 1, 1; A: ret; B: bra B;".replace("%r", "_")))
    assert meeting_points(module.entries["kernel"]) == {0: 2, 3: 4}


def test_threads_that_have_ended_do_not_come_back():
    body = """.reg .pred %p; mov.u32 %d, 1; setp.ge.u32 %p, %thread, 20; @%p ret; mov.u32 %d, 2;"""
    found, _ = run_snippet(body, {}, {"%d": "u32"})
    assert np.array_equal(found["%d"], np.where(np.arange(32) < 20, 2, 0))


def test_branch_table():
    body = """mov.u32 %d, 9; rem.u32 %e, %thread, 3; TABLE: .branchtargets A, B, C; brx.idx %e, TABLE;
    A: mov.u32 %d, 10; bra END; B: mov.u32 %d, 20; bra END; C: mov.u32 %d, 30; END:"""
    found, _ = run_snippet(body, {}, {"%d": "u32", "%e": "u32"})
    assert np.array_equal(found["%d"], 10 * (np.arange(32) % 3 + 1))


def test_barrier_that_some_threads_miss():
    body = ".reg .pred %p; mov.u32 %d, 0; setp.lt.u32 %p, %thread, 16; @%p bra END; bar.sync 0; END:"
    with pytest.raises(ModelError, match="barrier that not all threads"):
        run_snippet(body, {}, {"%d": "u32"})


def test_barrier_without_the_threads_that_have_ended():
    body = ".reg .pred %p; mov.u32 %d, 0; setp.ge.u32 %p, %thread, 40; @%p exit; bar.sync 0; mov.u32 %d, 1;"
    found, counters = run_snippet(body, {}, {"%d": "u32"}, threads=64)
    assert found["%d"].sum() == 40 and counters.barriers == 1


def test_partial_warps():
    found, counters = run_snippet("mov.u32 %d, %ntid.x;", {}, {"%d": "u32"}, threads=37)
    assert np.all(found["%d"] == 37)
    assert counters.issued["store global"] == 2


def test_endless_loops_are_stopped():
    emulator = Emulator(parse_ptx(entry("L: bra L;")), steps=1000)
    with pytest.raises(ModelError, match="more than 1000 instructions"):
        emulator.launch("kernel", (1,), (32,), [])


def test_traps():
    with pytest.raises(ModelError, match="a thread trapped"):
        run_snippet("mov.u32 %d, 0; trap;", {}, {"%d": "u32"})


def test_special_registers():
    out = np.zeros((2 * 3 * 4 * 5, 6), np.uint32)
    names = ["%tid.x", "%tid.y", "%ctaid.x", "%ctaid.y", "%laneid", "%nctaid.y"]
    body = """.reg .b64 %a, %b; .reg .b32 %r<8>, %i; ld.param.u64 %a, [p];
    mov.u32 %r0, %ctaid.y; mov.u32 %r1, %nctaid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r0, %r0, %r1, %r2;
    mov.u32 %r1, %tid.y; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r1, %r1, %r2, %r3;
    mad.lo.u32 %i, %r0, 20, %r1; mul.wide.u32 %b, %i, 24; add.u64 %a, %a, %b;"""
    for number, name in enumerate(names):
        body += f"mov.u32 %r4, {name}; st.global.u32 [%a+{4 * number}], %r4;"
    emulator = Emulator(parse_ptx(entry(body + "ret;", ".param .u64 p")))
    emulator.launch("kernel", (2, 3), (4, 5), [emulator.memory.allocate(out)])
    for block, (row, column) in enumerate(np.ndindex(3, 2)):
        for thread, (y, x) in enumerate(np.ndindex(5, 4)):
            assert list(out[block * 20 + thread]) == [x, y, column, row, thread, 3]


def test_some_blocks_of_a_grid_and_batches():
    body = """.reg .b64 %a, %b; .reg .b32 %r; ld.param.u64 %a, [p]; mov.u32 %r, %ctaid.x; mul.wide.u32 %b, %r, 4;
    add.u64 %a, %a, %b; st.global.u32 [%a], 1; ret;"""
    module = parse_ptx(entry(body, ".param .u64 p"))
    for lanes in (32, 100, 1 << 15):
        out = np.zeros(50, np.uint32)
        emulator = Emulator(module, lanes=lanes)
        counters = emulator.launch("kernel", (50,), (1,), [emulator.memory.allocate(out)], blocks=[3, 47, 5])
        assert list(np.flatnonzero(out)) == [3, 5, 47]
        assert counters.issued["store global"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "other"}, "no entry 'other', the module has kernel"),
        ({"block": (2048,)}, "at most 1024"),
        ({"block": (0,)}, "expected one to three positive"),
        ({"grid": (1, 1, 1, 1)}, "expected one to three positive"),
        ({"arguments": [1]}, "1 arguments for 0 parameters"),
        ({"blocks": [1]}, "the grid has 1 blocks"),
    ],
)
def test_launches_that_do_not_fit(change, message):
    emulator = Emulator(parse_ptx(entry("ret;")))
    launch = {"name": "kernel", "grid": (1,), "block": (32,), "arguments": []} | change
    with pytest.raises(InputError, match=message):
        emulator.launch(launch.pop("name"), **launch)


def test_unknown_instructions_are_named_with_their_line():
    with pytest.raises(UnsupportedError, match=r"PTX line \d+, frob.u32: there is no frob.u32"):
        run_snippet("frob.u32 %d, 1;", {}, {"%d": "u32"})
