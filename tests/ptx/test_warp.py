"""Shuffles, votes and reductions of a warp."""

import numpy as np
import pytest

from cnnc.errors import ModelError
from tests.ptx.snippets import run_snippet

LANE = np.arange(32)
VALUES = np.random.default_rng(19).integers(0, 1 << 31, 64).astype(np.uint32)


def shuffled(mode, offset, limits, threads=32):
    body = f".reg .pred %p; shfl.sync.{mode}.b32 %d|%p, %a, {offset}, {limits}, -1; selp.u32 %e, 1, 0, %p;"
    found, _ = run_snippet(body, {"%a": ("b32", VALUES[:threads])}, {"%d": "b32", "%e": "u32"}, threads=threads)
    return found["%d"], found["%e"].astype(bool)


@pytest.mark.parametrize(
    ("mode", "offset", "limits", "source"),
    [
        ("down", 4, 31, LANE + 4),
        ("up", 3, 0, LANE - 3),
        ("bfly", 16, 31, LANE ^ 16),
        ("bfly", 1, 31, LANE ^ 1),
        ("idx", 7, 31, np.full(32, 7)),
        ("down", 2, 0x1C1F & ~0x1C00 | 0x1800 | 7, np.where(LANE % 8 + 2 < 8, LANE + 2, 99)),
    ],
)
def test_shuffles(mode, offset, limits, source):
    got, inside = shuffled(mode, offset, limits)
    expected_inside = (source >= 0) & (source < 32)
    assert np.array_equal(inside, expected_inside)
    assert np.array_equal(got, VALUES[np.where(expected_inside, source, LANE)])


def test_warps_are_apart():
    got, _ = shuffled("idx", 0, 31, threads=64)
    assert np.array_equal(got, np.repeat(VALUES[[0, 32]], 32))


def test_sum_of_a_warp():
    body = "mov.b32 %d, %a; .reg .b32 %o;" + "".join(
        f"shfl.sync.bfly.b32 %o, %d, {step}, 31, -1; add.u32 %d, %d, %o;" for step in (16, 8, 4, 2, 1)
    )
    found, counters = run_snippet(body, {"%a": ("u32", LANE)}, {"%d": "u32"})
    assert np.all(found["%d"] == LANE.sum()) and counters.issued["warp"] == 5


def test_votes():
    flags = LANE % 3 == 0
    body = """.reg .pred %p, %q; setp.ne.u32 %p, %a, 0; vote.sync.ballot.b32 %d, %p, -1; vote.sync.any.pred %q, %p, -1;
    selp.u32 %e, 1, 0, %q; vote.sync.all.pred %q, %p, -1; selp.u32 %f, 1, 0, %q; vote.sync.uni.pred %q, %p, -1;
    selp.u32 %g, 1, 0, %q; activemask.b32 %h;"""
    found, _ = run_snippet(body, {"%a": ("u32", flags)}, dict.fromkeys(("%d", "%e", "%f", "%g", "%h"), "u32"))
    assert np.all(found["%d"] == int("".join("1" if flag else "0" for flag in flags[::-1]), 2))
    assert found["%e"].all() and not found["%f"].any() and not found["%g"].any()
    assert np.all(found["%h"] == 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("name", "kind", "function"),
    [("add", "s32", np.sum), ("min", "s32", np.min), ("max", "u32", np.max), ("xor", "b32", np.bitwise_xor.reduce)],
)
def test_reductions(name, kind, function):
    values = VALUES[:32].view(np.int32) if kind == "s32" else VALUES[:32]
    values = values >> 8
    found, _ = run_snippet(f"redux.sync.{name}.{kind} %d, %a, -1;", {"%a": (kind, values)}, {"%d": kind})
    assert np.all(found["%d"] == function(values))


def test_members_must_be_those_that_execute_it():
    with pytest.raises(ModelError, match="its members are not the threads that execute it"):
        run_snippet("shfl.sync.idx.b32 %d, %a, 0, 31, 1;", {"%a": ("b32", 1)}, {"%d": "b32"})
    body = """.reg .pred %p; mov.u32 %d, 0; setp.lt.u32 %p, %thread, 16; @!%p bra END;
    shfl.sync.idx.b32 %d, %a, 0, 31, -1; END:"""
    with pytest.raises(ModelError, match="its members"):
        run_snippet(body, {"%a": ("b32", 1)}, {"%d": "b32"})


def test_half_a_warp_may_shuffle():
    body = """.reg .pred %p; mov.u32 %d, 0; setp.lt.u32 %p, %thread, 16; @!%p bra END;
    shfl.sync.idx.b32 %d, %a, 3, 31, 65535; END:"""
    found, _ = run_snippet(body, {"%a": ("b32", VALUES[:32])}, {"%d": "b32"})
    assert np.array_equal(found["%d"], np.where(LANE < 16, VALUES[3], 0))


def test_registers_of_absent_threads_are_not_read():
    body = """.reg .pred %p; mov.u32 %d, 0; setp.lt.u32 %p, %thread, 16; @!%p bra END;
    shfl.sync.idx.b32 %d, %a, 20, 31, 65535; END:"""
    with pytest.raises(ModelError, match="a thread that does not execute it"):
        run_snippet(body, {"%a": ("b32", 1)}, {"%d": "b32"})
