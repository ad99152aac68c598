"""The worker pool's leases, and the limits that its size comes from."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnc.errors import OptionError
from cnnc.runtime import worker_loop
from cnnc.runtime.cpu_limits import available_threads, cgroup_quota, compile_jobs
from cnnc.runtime.executor import Executor
from cnnc.runtime.kernel import Variant
from cnnc.runtime.pool import Pool, loop_entry
from tests.runtime import numba_kernels as kit


@pytest.mark.jit
def test_one_call_has_the_pool_and_others_take_threads_off_it() -> None:
    pool = kit.pool_of(3)

    def limit() -> int:
        return int(pool._control[worker_loop.CAP])

    first = pool.enter(8)
    assert (first, limit()) == (3, 3)
    second = pool.enter(2)
    assert (second, limit()) == (1, 2), "it runs on its caller alone, and the first one on two of the three threads"
    third, fourth = pool.enter(1), pool.enter(3)
    assert (third, fourth, limit()) == (1, 1, 1), "a caller always has itself"
    pool.leave(third)
    pool.leave(fourth)
    assert limit() == 2
    pool.leave(first)
    again = pool.enter(3)
    assert (again, limit()) == (2, 2), "the second call is still there"
    pool.leave(second)
    assert limit() == 2, "a call gets no more threads than it has scratch for"
    pool.leave(again)
    alone = pool.enter(1)
    assert alone == 1
    pool.leave(alone)
    assert pool.enter(3) == 3
    pool.leave(3)


@pytest.mark.jit
def test_calls_that_come_and_go_change_no_results() -> None:
    pool = kit.pool_of.__wrapped__(3)
    executor = Executor(kit.executable(kit.chain(20, 10**7)), replace(kit.resolvers(), pool=lambda: pool))
    x = np.arange(900, dtype=np.float32)
    first = executor.run([x], {"N": 900})[0]
    is_over = threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            pool.leave(pool.enter(1))

    other = threading.Thread(target=come_and_go)
    other.start()
    for _ in range(300):
        np.testing.assert_array_equal(executor.run([x], {"N": 900})[0], first)
    is_over.set()
    other.join()
    pool.stop()


@pytest.mark.jit
def test_stopped_workers_end() -> None:
    pool = Pool(loop_entry(kit.load_kernel(Variant.of("worker_loop"))), 3)
    pool.leave(pool.enter(3))
    pool.stop()
    assert not any(thread.is_alive() for thread in pool._threads)


@pytest.mark.jit
def test_polling_where_there_is_no_futex() -> None:
    pool = Pool(loop_entry(kit.load_kernel(Variant.of("worker_loop"))), 3)
    pool._control[worker_loop.SYSCALL] = 0
    executor = Executor(kit.executable(kit.chain(20, 10**7)), replace(kit.resolvers(), pool=lambda: pool))
    x = np.ones(900, np.float32)
    first = executor.run([x], {"N": 900})[0]
    for pause in (0, 0, 0.02, 0, 0.01):
        time.sleep(pause)
        np.testing.assert_array_equal(executor.run([x], {"N": 900})[0], first)
    pool.stop()
    assert not any(thread.is_alive() for thread in pool._threads)


def groups(tmp_path: Path, membership: str, limits: dict[str, str]) -> tuple[Path, Path]:
    root, member = tmp_path / "cgroup", tmp_path / "membership"
    root.mkdir()
    for file, text in limits.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    member.write_text(membership)
    return root, member


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/", {}, None),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/pod/box\n", {"pod/cpu.max": "200000 100000", "pod/box/cpu.max": "400000 100000"}, 2.0),
        ("4:cpu:/x", {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ("4:cpu:/x", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_cgroup_quota(tmp_path: Path, membership: str, limits: dict[str, str], expected: float | None) -> None:
    root, member = groups(tmp_path, membership, limits)
    assert cgroup_quota(root, member) == expected


def test_number_of_compiling_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNC_COMPILE_JOBS", "")
    assert compile_jobs() == available_threads()
    monkeypatch.setenv("CNNC_COMPILE_JOBS", "3")
    assert compile_jobs() == 3


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_what_is_no_number_of_processes_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNC_COMPILE_JOBS", text)
    with pytest.raises(OptionError, match=f"CNNC_COMPILE_JOBS={text} is not a number.*\\n.*1 or more"):
        compile_jobs()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity_is_honoured() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_threads() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.jit
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs thread affinity")
@pytest.mark.skipif(available_threads() < 2, reason="needs two CPUs")
def test_workers_stay_off_the_callers_cpu() -> None:
    pool = kit.pool_of.__wrapped__(2)  # its own: a forked child of another test moves the workers that it inherits
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in sorted(allowed):
            os.sched_setaffinity(0, {cpu})
            os.sched_setaffinity(0, allowed)  # the thread is on that CPU until the scheduler moves it
            assert pool.enter(2) == 2
            pool.leave(2)
            [worker] = pool._threads
            assert worker.native_id is not None
            assert os.sched_getaffinity(worker.native_id) == allowed - {pool._spread_from[0]}
    finally:
        os.sched_setaffinity(0, allowed)
        pool.stop()
