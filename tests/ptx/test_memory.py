"""Loads, stores, atomics and asynchronous copies: values, bounds, alignment, races, and what they are charged with."""

import numpy as np
import pytest

from cnnc.errors import ModelError, UserError
from cnnc.ptx import AccessError, Emulator, parse_ptx
from tests.ptx.snippets import entry, launch_both, run_snippet

RNG = np.random.default_rng(17)


def launch(body, arrays, threads=32, blocks=1, shared=0, before="", numbers=()):
    """Counters after ``body``, in which %p0, %p1 .. are the addresses of ``arrays`` and %n0 .. are ``numbers``."""
    params = [f".param .u64 p{number}" for number in range(len(arrays))]
    params += [f".param .u32 n{number}" for number in range(len(numbers))]
    lines = [".reg .b64 %p<8>, %a<16>; .reg .b32 %n<8>, %t, %r<32>; .reg .f32 %f<16>; .reg .pred %q<8>;"]
    lines += [f"ld.param.u64 %p{number}, [p{number}];" for number in range(len(arrays))]
    lines += [f"ld.param.u32 %n{number}, [n{number}];" for number in range(len(numbers))]
    lines += ["mov.u32 %t, %tid.x;", body, "ret;"]
    text = entry("\n".join(lines), ", ".join(params), before=before)
    names = [f"array {number}" for number in range(len(arrays))]
    return launch_both(text, arrays, names, blocks, threads, numbers, shared)


OWN = "mul.wide.u32 %a0, %t, {0}; add.u64 %a1, %p0, %a0; add.u64 %a2, %p1, %a0;"
"""%a1 and %a2: this thread's element of {0} bytes in the first two arrays."""


def test_vectors_of_four():
    x, y = RNG.standard_normal((2, 128)).astype(np.float32)
    expected = x.reshape(-1, 4)[:, ::-1].reshape(-1)
    body = (
        OWN.format(16) + "ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%a1]; st.global.v4.f32 [%a2], {%f3, %f2, %f1, %f0};"
    )
    counters = launch(body, [x, y])
    assert np.array_equal(y, expected)
    assert counters.sectors == counters.least_sectors == 2 * 128 * 4 // 32


def test_narrow_elements():
    x, y = RNG.integers(-128, 128, 32).astype(np.int8), np.zeros(32, np.int8)
    wide = np.zeros(32, np.int32)
    body = (
        OWN.format(1) + "ld.global.s8 %r0, [%a1]; st.global.u8 [%a2], %r0; shl.b64 %a0, %a0, 2; add.u64 %a3, %p2, %a0;"
    )
    launch(body + "st.global.u32 [%a3], %r0;", [x, y, wide])
    assert np.array_equal(y, x) and np.array_equal(wide, x)


@pytest.mark.parametrize(("stride", "share"), [(4, 1), (8, 2), (32, 8), (128, 8)])
def test_strided_accesses_cost_sectors(stride, share):
    x, y = np.zeros(32 * stride // 4, np.float32), np.zeros(32, np.float32)
    body = f"mul.wide.u32 %a0, %t, {stride}; add.u64 %a1, %p0, %a0; ld.global.f32 %f0, [%a1];"
    counters = launch(body, [x, y])
    assert counters.sectors == share * counters.least_sectors == share * 4


def test_misaligned_start_costs_a_sector():
    x = np.zeros(64, np.float32)
    counters = launch("mul.wide.u32 %a0, %t, 4; add.u64 %a1, %p0, %a0; ld.global.f32 %f0, [%a1+4];", [x])
    assert (counters.sectors, counters.least_sectors) == (5, 4)


@pytest.mark.parametrize("offset", [128, -4, 1 << 40])
def test_out_of_bounds(offset):
    x = np.zeros(32, np.float32)
    with pytest.raises(AccessError, match=r"PTX line \d+, ld.global.f32: an access of 4 bytes"):
        launch(f"mov.u64 %a0, {offset}; add.u64 %a1, %p0, %a0; ld.global.f32 %f0, [%a1];", [x])


def test_one_thread_out_of_bounds():
    x, y = np.zeros(31, np.float32), np.zeros(64, np.float32)
    with pytest.raises(AccessError, match="at 124 of array 0, which has 124"):
        launch(OWN.format(4) + "ld.global.f32 %f0, [%a1];", [x, y])


def test_a_guarded_access_is_not_one():
    x, y = np.ones(31, np.float32), np.zeros(32, np.float32)
    body = OWN.format(4) + "setp.lt.u32 %q0, %t, 31; mov.f32 %f0, 0f40000000; @%q0 ld.global.f32 %f0, [%a1];"
    launch(body + "st.global.f32 [%a2], %f0;", [x, y])
    assert np.array_equal(y, [1.0] * 31 + [2.0])


def test_threads_of_a_warp_in_two_allocations():
    x, y, z = RNG.standard_normal((3, 32)).astype(np.float32)
    expected = np.where(np.arange(32) % 2 == 0, x, y)
    body = """and.b32 %r0, %t, 1; setp.eq.u32 %q0, %r0, 0; selp.b64 %a0, %p0, %p1, %q0; mul.wide.u32 %a1, %t, 4;
    add.u64 %a2, %a0, %a1; ld.global.f32 %f0, [%a2]; add.u64 %a3, %p2, %a1; st.global.f32 [%a3], %f0;"""
    launch(body, [x, y, z])
    assert np.array_equal(z, expected)


def test_alignment():
    x = np.zeros(33, np.float32)
    with pytest.raises(AccessError, match="no multiple"):
        launch("ld.global.v2.f32 {%f0, %f1}, [%p0+4];", [x])


def test_arrays_in_memory_are_contiguous():
    with pytest.raises(UserError, match="contiguous"):
        Emulator(parse_ptx(entry("ret;"))).memory.allocate(np.zeros((4, 4))[:, ::2])


SHARED = ".shared .align 16 .b8 room[512]; mov.u64 %a8, room; mul.wide.u32 %a0, %t, 4; add.u64 %a9, %a8, %a0;"


def test_shared_memory_between_threads():
    x, y = RNG.standard_normal((2, 64)).astype(np.float32)
    body = (
        SHARED
        + """add.u64 %a1, %p0, %a0; ld.global.f32 %f0, [%a1]; st.shared.f32 [%a9], %f0; bar.sync 0;
    sub.u64 %a10, %a8, %a0; ld.shared.f32 %f1, [%a10+252]; add.u64 %a2, %p1, %a0; st.global.f32 [%a2], %f1;"""
    )
    counters = launch(body, [x, y], threads=64)
    assert np.array_equal(y, x[::-1])
    assert counters.conflicts == 0 and counters.barriers == 1 and counters.shared_cycles == 4


def test_missing_barrier_is_a_race():
    body = (
        SHARED
        + "mov.f32 %f0, 0f00000000; st.shared.f32 [%a9], %f0; sub.u64 %a10, %a8, %a0; ld.shared.f32 %f1, [%a10+252];"
    )
    with pytest.raises(AccessError, match="a race"):
        launch(body, [], threads=64)


def test_write_behind_a_read_is_a_race():
    body = (
        SHARED
        + """mov.f32 %f0, 0f00000000; st.shared.f32 [%a9], %f0; bar.sync 0; ld.shared.f32 %f1, [%a8];
    setp.eq.u32 %q0, %t, 40; @%q0 st.shared.f32 [%a8], %f0;"""
    )
    with pytest.raises(AccessError, match="a race: threads touch byte 0"):
        launch(body, [], threads=64)


def test_one_warp_is_ordered_by_its_own_barrier():
    body = (
        SHARED
        + """mov.f32 %f0, 0f3F800000; st.shared.f32 [%a9], %f0; {0} sub.u64 %a10, %a8, %a0;
    ld.shared.f32 %f1, [%a10+124];"""
    )
    launch(body.replace("{0}", "bar.warp.sync -1;"), [])
    with pytest.raises(AccessError, match="a race"):
        launch(body.replace("{0}", ""), [])


def test_two_threads_that_write_one_word_race():
    body = SHARED + "mov.f32 %f0, 0f00000000; st.shared.f32 [%a8], %f0;"
    with pytest.raises(AccessError, match="a race"):
        launch(body, [])


@pytest.mark.parametrize(
    ("step", "size", "conflicts"),
    [(4, 4, 0), (8, 4, 1), (128, 4, 31), (132, 4, 0), (0, 4, 0), (16, 16, 0), (32, 16, 4), (8, 8, 0), (144, 16, 0)],
)
def test_bank_conflicts(step, size, conflicts):
    vector = {4: "f32 %f0", 8: "v2.f32 {%f0, %f1}", 16: "v4.f32 {%f0, %f1, %f2, %f3}"}[size]
    body = f""".shared .align 16 .b8 large[8192]; mov.u64 %a8, large; mul.wide.u32 %a0, %t, {step};
    add.u64 %a9, %a8, %a0; ld.shared.{vector}, [%a9];"""
    assert launch(body, []).conflicts == conflicts


def test_dynamic_shared_memory():
    before = ".extern .shared .align 16 .b8 dynamic[];"
    body = "mov.u64 %a8, dynamic; mul.wide.u32 %a0, %t, 4; add.u64 %a9, %a8, %a0; st.shared.u32 [%a9], %t;"
    launch(body, [], shared=128, before=before)
    with pytest.raises(AccessError, match="of shared memory, which has 64"):
        launch(body, [], shared=64, before=before)
    with pytest.raises(UserError, match="bytes of shared memory, devices have"):
        launch(body, [], shared=1 << 20, before=before)


def test_local_memory_is_each_threads_own():
    y = np.zeros(32, np.uint32)
    body = """.local .align 4 .b8 depot[16]; mov.u64 %a8, depot; st.local.u32 [%a8+4], %t; cvta.local.u64 %a9, %a8;
    ld.u32 %r0, [%a9+4]; mul.wide.u32 %a0, %t, 4; add.u64 %a1, %p0, %a0; st.global.u32 [%a1], %r0;"""
    launch(body, [y])
    assert np.array_equal(y, np.arange(32))
    with pytest.raises(AccessError, match="of local memory, which has 16"):
        launch(".local .align 4 .b8 depot[16]; mov.u64 %a8, depot; st.local.u32 [%a8+16], %t;", [])


def test_constants_and_module_variables():
    before = ".const .align 4 .b32 table[4] = {1, 2, 3, 0x7}; .global .align 4 .f32 scale = 0f40400000;"
    y = np.zeros(32, np.float32)
    body = """and.b32 %r0, %t, 3; mul.wide.u32 %a0, %r0, 4; mov.u64 %a1, table; add.u64 %a1, %a1, %a0;
    ld.const.u32 %r1, [%a1]; cvt.rn.f32.u32 %f0, %r1; ld.global.f32 %f1, [scale]; mul.f32 %f0, %f0, %f1;
    mul.wide.u32 %a2, %t, 4; add.u64 %a2, %a2, %p0; st.global.f32 [%a2], %f0;"""
    launch(body, [y], before=before)
    assert np.array_equal(y, np.resize([3.0, 6.0, 9.0, 21.0], 32))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("add.u32", sum(range(64))), ("max.u32", 63), ("min.u32", 0), ("or.b32", 63), ("xor.b32", 0), ("exch.b32", 63)],
)
def test_atomics(name, expected):
    total = np.array([5 if name[:3] == "min" else 0], np.uint32)
    launch(f"atom.global.{name} %r0, [%p0], %t;", [total], threads=64)
    assert total[0] == expected


def test_atomic_results_count_up():
    total, y = np.zeros(1, np.uint32), np.zeros(64, np.uint32)
    body = "mov.u32 %r1, 1; atom.global.add.u32 %r0, [%p0], %r1; mul.wide.u32 %a0, %t, 4; add.u64 %a1, %p1, %a0;"
    launch(body + "st.global.u32 [%a1], %r0;", [total, y], threads=32, blocks=2)
    assert total[0] == 64 and sorted(y[:32]) == list(range(32, 64))


def test_compare_and_swap_and_wrapping_counts():
    lock, counter = np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    body = "add.u32 %r1, %t, 1; mov.u32 %r2, 0; atom.global.cas.b32 %r0, [%p0], %r2, %r1; mov.u32 %r3, 9;"
    launch(body + "atom.global.inc.u32 %r4, [%p1], %r3;", [lock, counter])
    assert lock[0] == 1 and counter[0] == 32 % 10


def test_reductions_in_memory_and_atomics_on_shared():
    total = np.zeros(1, np.float32)
    body = """.shared .align 4 .b8 room[4]; mov.u64 %a8, room; mov.f32 %f0, 0f3F800000; setp.eq.u32 %q0, %t, 0;
    mov.f32 %f1, 0f00000000; @%q0 st.shared.f32 [%a8], %f1; bar.sync 0; atom.shared.add.f32 %f2, [%a8], %f0; bar.sync 0;
    ld.shared.f32 %f3, [%a8]; @%q0 red.global.add.f32 [%p0], %f3;"""
    launch(body, [total], threads=64, blocks=3)
    assert total[0] == 192


@pytest.mark.parametrize("read", [16, 8, 5, 0])
def test_asynchronous_copies(read):
    x, y = RNG.integers(0, 256, (2, 512)).astype(np.uint8)
    body = f""".shared .align 16 .b8 room[512]; mov.u64 %a8, room; mul.wide.u32 %a0, %t, 16; add.u64 %a9, %a8, %a0;
    add.u64 %a1, %p0, %a0; mov.u32 %r0, {read}; cp.async.cg.shared.global [%a9], [%a1], 16, %r0;
    cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;
    ld.shared.v4.u32 {{%r1, %r2, %r3, %r4}}, [%a9]; add.u64 %a2, %p1, %a0;
    st.global.v4.u32 [%a2], {{%r1, %r2, %r3, %r4}};"""
    counters = launch(body, [x, y])
    kept = x.reshape(32, 16).copy()
    kept[:, read:] = 0
    assert np.array_equal(y.reshape(32, 16), kept)
    assert counters.conflicts == 0
    if read == 16:
        assert counters.sectors == counters.least_sectors


def test_parameters_are_read_and_checked():
    y = np.zeros(32, np.uint32)
    launch("mul.wide.u32 %a0, %t, 4; add.u64 %a1, %p0, %a0; st.global.u32 [%a1], %n0;", [y], numbers=[7])
    assert np.all(y == 7)
    with pytest.raises(AccessError, match="no parameter"):
        launch("ld.param.u32 %r0, [n0+4];", [y], numbers=[7])


def test_undefined_registers_and_names():
    with pytest.raises(ModelError, match="%r0 is read before it is written"):
        launch("add.u32 %r1, %r0, 1;", [])
    with pytest.raises(ModelError, match="there is no nowhere"):
        launch("mov.u64 %a0, nowhere;", [])


def test_undefined_shared_memory_is_nan():
    found, _ = run_snippet(
        ".shared .align 4 .b8 room[4]; .reg .b64 %s; mov.u64 %s, room; ld.shared.f32 %d, [%s];", {}, {"%d": "f32"}
    )
    assert np.isnan(found["%d"]).all()
