"""Calls that repeat the shapes before: the same results and errors as any call, fresh outputs, bounded memory."""

from __future__ import annotations

import gc
import os
import threading

import numpy as np
import pytest

from cnnc.errors import InputError
from cnnc.runtime import InferenceSession
from cnnc.runtime.executable import Executable
from cnnc.runtime.program import Buffer, Port, Program
from cnnc.runtime.repeated_call import STAGED_BYTES
from cnnc.types import DType
from tests.runtime.copy_program import N, copy_add, copy_step

pytestmark = pytest.mark.jit

SMALL, LARGE, SHARED = 5, STAGED_BYTES // 4, 20_000
"""Rows of 12 bytes: staged, bound at every call, and enough work for two threads."""


def copies() -> Executable:
    """x[N, 3] -> t -> y, kernels alone."""
    buffers = (Buffer("x", "input", 12 * N), Buffer("t", "arena", 12 * N), Buffer("y", "output", 12 * N))
    inputs, outputs = (Port("x", 0, (N, 3), DType.F32),), (Port("y", 2, (N, 3), DType.F32),)
    return Executable(Program(inputs, outputs, buffers, (copy_step(0, 1, 3 * N), copy_step(1, 2, 3 * N))), ())


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


def warm_session(count: int) -> InferenceSession:
    """A session whose next call of ``count`` rows is a repeated one."""
    session = InferenceSession(copies(), threads=2)
    for _ in range(2):
        session.run(None, {"x": rows(count)})
    assert len(session._repeated._idle) == 1
    return session


@pytest.mark.parametrize("count", [SMALL, LARGE, SHARED])
def test_outputs_are_fresh_and_of_this_call(count: int) -> None:
    session = warm_session(count)
    feeds = [rows(count, seed) for seed in range(4)]
    results = [session.run(None, {"x": x})[0] for x in feeds]
    for x, y in zip(feeds, results, strict=True):
        np.testing.assert_array_equal(y, x)
        assert y.flags.c_contiguous
        assert y.flags.writeable
        assert not np.shares_memory(x, y)
    [again] = session.run(["y"], {"x": feeds[0]})
    np.testing.assert_array_equal(again, feeds[0])


@pytest.mark.parametrize("count", [SMALL, LARGE, SHARED])
def test_any_view_is_fed(count: int) -> None:
    session = warm_session(count)
    wide = np.random.default_rng(1).standard_normal((2 * count, 6)).astype(np.float32)
    for x in (wide[::2, ::2], wide[count:0:-1, 3:], np.asfortranarray(wide[:count, :3])):
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], x)
    assert len(session._repeated._idle) == 1


@pytest.mark.parametrize("count", [1, SMALL, LARGE])
def test_wrong_inputs_are_refused_as_ever(count: int) -> None:
    session = warm_session(count)
    x = rows(count)
    for feeds in ({}, {"X": x}, {"x": x, "z": x}, {"x": x.astype(">f4")}, {"x": x.astype("f8")}, {"x": x[:, :2]}):
        with pytest.raises(InputError):
            session.run(None, feeds)
    with pytest.raises(InputError, match="no output 'z'"):
        session.run(["z"], {"x": x})
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], x)


def test_other_shapes_take_over_when_they_repeat() -> None:
    session = warm_session(SMALL)
    repeated = session._repeated
    for count in (SMALL, 7, SMALL, 7, SMALL):
        np.testing.assert_array_equal(session.run(None, {"x": rows(count)})[0], rows(count))
        assert [call.bound for call in repeated._idle] == [session._executor.bound_plan(0, {"N": SMALL})]
    for _ in range(3):
        session.run(None, {"x": rows(7)})
        session.run(None, {"x": rows(7, 1)})
    assert [call.bound for call in repeated._idle] == [session._executor.bound_plan(0, {"N": 7})]
    assert len(session._executor.arenas._free) == 1, "the arena of the other shapes went back"


def test_host_steps_and_echoed_inputs_take_the_general_way() -> None:
    session = InferenceSession(copy_add())
    for _ in range(3):
        session.run(None, {"x": rows(SMALL)})
    assert not session._repeated._idle


@pytest.mark.parametrize("count", [SMALL, SHARED])
def test_many_threads_at_once(count: int) -> None:
    session = warm_session(count)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for turn in range(20):
            x = rows(count if turn % 7 else count + 1, seed)
            if not np.array_equal(session.run(None, {"x": x})[0], x):
                wrong.append(turn)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(session._repeated._idle) <= len(threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
@pytest.mark.parametrize("count", [SMALL, SHARED])
def test_child_of_a_fork_repeats_calls_too(count: int) -> None:
    session = warm_session(count)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(session.run(None, {"x": rows(count, 1)})[0], rows(count, 1)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(session.run(None, {"x": rows(count)})[0], rows(count))


def test_outputs_outlive_the_session() -> None:
    session = warm_session(LARGE)
    [y] = session.run(None, {"x": rows(LARGE)})
    del session
    gc.collect()
    np.testing.assert_array_equal(y, rows(LARGE))
