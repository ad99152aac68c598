"""The executor and the worker loop: results, threads, fork, host steps, deferred shapes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import InternalError
from cnnc.runtime.arena_layout import one_after_another
from cnnc.runtime.call import MemoryOf, RunSettings, StepTiming
from cnnc.runtime.executor import Executor
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import Buffer, BufferArg, Call, Choice, HostStep, KernelStep, Port, Program, Sizes, Tensor
from cnnc.types import DType
from tests.runtime import numba_kernels as kit

pytestmark = pytest.mark.jit
N = symbol("N")
BUSY = 10_000_000
"""MACs claimed for a step so that the planner splits it and the executor shares it."""


def expected_chain(x: np.ndarray, length: int) -> np.ndarray:
    for _ in range(length):
        x = x * np.float32(2) + np.float32(1)
    return x


def random_floats(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal(count).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_chain_alone(count: int) -> None:
    executor = Executor(kit.executable(kit.chain(5)), kit.resolvers(), poison=True)
    x = random_floats(count)
    [y] = executor.run([x], {"N": count})
    np.testing.assert_array_equal(y, expected_chain(x, 5))


def scratch_program() -> Program:
    """x[N] -> sums of 16 -> doubled -> y[ceil(N/16)], every step split into chunks."""
    blocks = (N + 15) // 16
    call = Call(Variant.of("test.scratch_sum"), (BufferArg(0), BufferArg(1), N), blocks, 64)
    total = KernelStep((Choice((call,)),), (0,), (1,), "sum", "sum", BUSY)
    buffers = (
        Buffer("x", "input", 4 * N),
        Buffer("t", "arena", 4 * blocks),
        Buffer("y", "output", 4 * blocks),
    )
    steps = (total, kit.affine(1, 2, blocks, 3, 1, BUSY))
    return Program((Port("x", 0, (N,), DType.F32),), (Port("y", 2, (blocks,), DType.F32),), buffers, steps)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_results_do_not_depend_on_threads(threads: int) -> None:
    x = random_floats(5003)
    alone = Executor(kit.executable(scratch_program()), kit.resolvers(1)).run([x], {"N": 5003})[0]
    executor = Executor(kit.executable(scratch_program()), kit.resolvers(4), poison=True)
    for _ in range(50):
        [y] = executor.run([x], {"N": 5003}, RunSettings(threads=threads))
        np.testing.assert_array_equal(y, alone)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_scratch_says_when_a_worker_comes_to_an_instruction(threads: int) -> None:
    blocks = (N + 15) // 16
    tags = range(1, 6)
    calls = [Call(Variant.of("test.first_tag"), (BufferArg(tag - 1), N, tag), blocks, 64) for tag in tags]
    steps = tuple(KernelStep((Choice((call,)),), (), (tag - 1,), "tag", "tag", BUSY) for tag, call in zip(tags, calls))
    buffers = tuple(Buffer(f"y{tag}", "output", 4 * N) for tag in tags)
    outputs = tuple(Port(f"y{tag}", tag - 1, (N,), DType.F32) for tag in tags)
    executor = Executor(kit.executable(Program((), outputs, buffers, steps)), kit.resolvers(4))
    for _ in range(20):
        results = executor.run([], {"N": 777}, RunSettings(threads=threads))
        for tag, result in zip(tags, results):
            np.testing.assert_array_equal(result, np.full(777, tag, np.float32))


def test_long_shared_chain_is_right_every_time() -> None:
    executor = Executor(kit.executable(kit.chain(60, BUSY)), kit.resolvers(4), poison=True)
    x = random_floats(777)
    for _ in range(30):
        [y] = executor.run([x], {"N": 777})
        np.testing.assert_array_equal(y, expected_chain(x, 60))


def test_many_threads_on_one_executor() -> None:
    executor = Executor(kit.executable(kit.chain(12, BUSY)), kit.resolvers(3), poison=True, cached_plans=2)
    failures: list[Any] = []

    def work(seed: int) -> None:
        for count in (33, 500, 64, 1, 0):
            x = random_floats(count + seed)
            [y] = executor.run([x], {"N": count + seed})
            if not np.array_equal(y, expected_chain(x, 12)):
                failures.append((seed, count))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(executor.plans) <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_child_of_a_fork_runs_alone_or_with_new_workers() -> None:
    executor = Executor(kit.executable(kit.chain(6, BUSY)), kit.resolvers(2))
    x = random_floats(300)
    executor.run([x], {"N": 300})
    kit.pool_of(2)
    child = os.fork()
    if child == 0:
        [y] = executor.run([x], {"N": 300})
        os._exit(0 if np.array_equal(y, expected_chain(x, 6)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_outputs_are_fresh_and_inputs_may_be_strided() -> None:
    executor = Executor(kit.executable(kit.chain(2)), kit.resolvers())
    x = random_floats(40)
    [first] = executor.run([x[::2]], {"N": 20})
    kept = first.copy()
    [second] = executor.run([x[1::2]], {"N": 20})
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second, expected_chain(x[1::2], 2))
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32)
    np.testing.assert_array_equal(executor.run([unaligned], {"N": 40})[0], expected_chain(x, 2))


def test_denormals_are_flushed_unless_kept() -> None:
    executor = Executor(kit.executable(kit.chain(1)), kit.resolvers())
    # 2 * 1e-40 + 1 hides the denormal: shift by 0 instead.
    program = kit.chain(1)
    step = kit.affine(0, 1, N, 2, 0)
    executor = Executor(
        kit.executable(Program(program.inputs, program.outputs, program.buffers, (step,))), kit.resolvers()
    )
    x = np.full(8, 1e-40, np.float32)
    assert not executor.run([x], {"N": 8})[0].any()
    np.testing.assert_array_equal(executor.run([x], {"N": 8}, RunSettings(keep_denormals=True))[0], x * np.float32(2))
    assert (np.full(8, 1e-40, np.float32) * np.float32(2)).all(), "the caller's control word is restored"


def test_identity_constant_and_repeated_outputs_are_copies() -> None:
    buffers = (Buffer("x", "input", 4 * N), Buffer("c", "constant", 12, 0), Buffer("y", "output", 4 * N))
    outputs = (
        Port("same", 0, (N,), DType.F32),
        Port("constant", 1, (3,), DType.F32),
        Port("y", 2, (N,), DType.F32),
        Port("y_again", 2, (N,), DType.F32),
    )
    program = Program((Port("x", 0, (N,), DType.F32),), outputs, buffers, (kit.affine(0, 2, N, 2, 1),))
    constant = np.arange(3, dtype=np.float32)
    x = random_floats(5)
    same, fixed, y, again = Executor(kit.executable(program, constant), kit.resolvers()).run([x], {"N": 5})
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(fixed, constant)
    np.testing.assert_array_equal(again, y)
    for array in (same, fixed, y, again):
        array[:] = 7
    assert not np.shares_memory(y, again)
    assert constant[1] == 1
    assert x[0] != 7


def host_program(function: str, shape: tuple[Any, ...]) -> Program:
    """x[N] -> affine -> host function -> h[shape] -> affine -> y[shape]; K rows where the shape depends on values."""
    buffers = (
        Buffer("x", "input", 4 * N),
        Buffer("t", "arena", 4 * N),
        Buffer("h", "arena", 4 * shape[0]),
        Buffer("u", "arena", 4 * N),
        Buffer("y", "output", 4 * shape[0]),
        Buffer("z", "output", 4 * N),
    )
    host = HostStep(
        function,
        (("factor", 2.0),),
        (Tensor(1, (N,), DType.F32), None, Sizes((N,)), Sizes((N,), scalar=True)),
        (Tensor(2, shape, DType.F32),),
        "the host step",
        function,
    )
    steps = (
        kit.affine(0, 1, N, 2, 1, BUSY),
        kit.affine(0, 3, N, 1, 5),
        host,
        kit.affine(2, 4, shape[0], 1, 1, BUSY),
        kit.affine(3, 5, N, 1, 0),
    )
    outputs = (Port("y", 4, shape, DType.F32), Port("z", 5, (N,), DType.F32))
    return Program((Port("x", 0, (N,), DType.F32),), outputs, buffers, steps)


def double(x: np.ndarray, absent: None, sizes: np.ndarray, size: np.ndarray, factor: float) -> np.ndarray:
    assert absent is None
    assert sizes.tolist() == [x.size]
    assert size.shape == ()
    assert not x.flags.writeable
    return x * np.float32(factor)


def positive(x: np.ndarray, absent: None, sizes: np.ndarray, size: np.ndarray, factor: float) -> tuple[np.ndarray]:
    return (x[x > 0],)


def test_host_step_between_segments() -> None:
    executor = Executor(kit.executable(host_program("double", (N,))), kit.resolvers(2, {"double": double}), poison=True)
    x = random_floats(50)
    y, z = executor.run([x], {"N": 50})
    np.testing.assert_array_equal(y, expected_chain(x, 1) * 2 + 1)
    np.testing.assert_array_equal(z, x + 5)


@pytest.mark.parametrize("layout", [None, one_after_another])
def test_shapes_that_depend_on_values(layout: Any) -> None:
    program = host_program("positive", (symbol("K"),))
    keywords = {} if layout is None else {"layout": layout}
    executor = Executor(kit.executable(program), kit.resolvers(2, {"positive": positive}), poison=True, **keywords)
    for x in (random_floats(50), -np.ones(50, np.float32), np.ones(50, np.float32), np.zeros(0, np.float32)):
        y, z = executor.run([x], {"N": x.size})
        t = expected_chain(x, 1)
        np.testing.assert_array_equal(y, t[t > 0] + 1)
        np.testing.assert_array_equal(z, x + 5)


@pytest.mark.parametrize(
    ("function", "fragments"),
    [
        (lambda *args, factor: args[0].astype(np.float64), ("float64", "the host step")),
        (lambda *args, factor: args[0][:1], ("shape (1,)", "(6,)", "the host step")),
    ],
)
def test_host_function_that_breaks_its_word(function: Callable[..., Any], fragments: tuple[str, ...]) -> None:
    executor = Executor(kit.executable(host_program("bad", (N,))), kit.resolvers(1, {"bad": function}))
    with pytest.raises(InternalError) as caught:
        executor.run([random_floats(6)], {"N": 6})
    assert all(fragment in str(caught.value) for fragment in fragments)
    assert len(executor.arenas._free) == 1, "the arena went back to its pool"


def test_steps_are_told_when_they_are_done() -> None:
    """What a step wrote can be read then, of kernels and of the host."""
    executor = Executor(kit.executable(host_program("double", (N,))), kit.resolvers(2, {"double": double}))
    program = executor.program
    seen: list[np.ndarray] = []

    def see(step: int, memory: MemoryOf) -> None:
        assert step == len(seen)
        [written] = program.steps[step].writes
        seen.append(memory(written).view(np.float32)[:50].copy())

    x = random_floats(50)
    y, z = executor.run([x], {"N": 50}, step_done=see)
    t = expected_chain(x, 1)
    for got, expected in zip(seen, (t, x + 5, 2 * t, y, z), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_profile_times_every_step() -> None:
    executor = Executor(kit.executable(host_program("double", (N,))), kit.resolvers(2, {"double": double}))
    timings: list[StepTiming] = []
    executor.run([random_floats(50)], {"N": 50}, timings=timings)
    assert [timing.step for timing in timings] == [0, 1, 2, 3, 4]
    assert timings[0].macs == BUSY
    assert timings[0].kernels == ("test.affine",)
    assert all(timing.seconds > 0 for timing in timings)


def test_missing_kernels_are_compiled_before_any_is_loaded() -> None:
    events: list[object] = []
    resolvers = kit.resolvers()

    def load(variant: Variant) -> int:
        events.append(variant)
        return resolvers.load_kernel(variant)

    def progress(done: int, total: int) -> None:
        events.append((done, total))

    def compile_kernels(variants: Sequence[Variant], report: Callable[[int, int], None] | None) -> None:
        assert report is progress
        report(len(variants), len(variants))

    program = kit.chain(3)
    watched = replace(resolvers, load_kernel=load, compile_kernels=compile_kernels)
    Executor(kit.executable(program), watched).load_kernels(progress)
    assert events == [(1, 1), *program.variants()]
