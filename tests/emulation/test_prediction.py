"""The performance model on calls that are made up: which resource bounds them, waves, latency, and the rooflines."""

from __future__ import annotations

from collections import Counter

import pytest

from cnnc.emulation import CallProfile, peak_flops, predict
from cnnc.emulation.loops import LoopCounts
from cnnc.ptx import Counters
from cnnc.runtime.cuda.cubin import ResourceUse
from cnnc.runtime.cuda.device_facts import A100, H100
from cnnc.runtime.cuda.machine_code import InstructionCounts
from cnnc.runtime.kernel import Variant

NO_LOOP = InstructionCounts(0, 0, 0, 0, 0, 0, 0, 0)


def call(
    blocks: int = 108 * 8,
    threads: int = 256,
    registers: int = 64,
    memory: int = 0,
    constants: int = 0,
    loop: LoopCounts | None = None,
    machine_loop: InstructionCounts = NO_LOOP,
    barriers: int = 0,
    sectors: int = 0,
    shared_cycles: int = 0,
    flops: int = 0,
    tensor_type: str = "",
    **issued: int,
) -> CallProfile:
    """A call whose counts are given for one block."""
    counters = Counters(
        issued=Counter({name: count * blocks for name, count in issued.items()}),
        sectors=sectors * blocks,
        shared_cycles=shared_cycles * blocks,
        barriers=barriers * blocks,
        flops=flops * blocks,
    )
    resources = ResourceUse(registers, 0, 0, 0, 0, 0)
    variant = Variant.of("conv.f32.implicit_gemm")
    return CallProfile(
        0, variant, blocks, threads, 1, counters, loop, machine_loop, resources, tensor_type, constants, memory
    )


def test_multiply_adds_alone_run_at_the_peak() -> None:
    # 32 blocks of 8 warps for each multiprocessor: full waves.
    found = predict(call(108 * 32, fma=100_000), A100)
    assert found.bound == "float32"
    body = found.seconds - A100.launch_seconds
    assert body == pytest.approx(found.roofline_seconds)
    assert body == pytest.approx(2 * 32 * 100_000 * 108 * 32 / A100.flops)


def test_tensor_cores_have_a_rate_for_each_type() -> None:
    products = {"tensor": 1000, "flops": 10**8}
    half, tf32, bytes_ = (predict(call(tensor_type=kind, **products), A100) for kind in ("bf16", "tf32", "u8"))
    assert half.bound == "tensor cores"
    assert peak_flops(call(tensor_type="tf32"), A100) == A100.tf32_flops
    assert peak_flops(call(), A100) == A100.flops
    assert half.roofline_seconds == pytest.approx(864 * 1e8 / A100.half_flops)
    assert tf32.roofline_seconds == pytest.approx(2 * half.roofline_seconds)
    assert bytes_.roofline_seconds == pytest.approx(half.roofline_seconds / 2)


def test_other_instructions_take_issue_slots() -> None:
    # H100 multiplies and adds in all of its issue slots: as many other instructions halve its speed.
    alone, mixed = (predict(call(132 * 32, fma=100_000, **more), H100) for more in ({}, {"integer": 100_000}))
    assert mixed.bound in ("issue", "integer")
    assert mixed.parts["issue"] == pytest.approx(2 * alone.parts["issue"])


def test_machine_code_says_what_the_loop_issues() -> None:
    loop = LoopCounts(1, 2, {"fma": 1000 * 864, "integer": 1000 * 864}, 1.0)
    lean = InstructionCounts(110, 100, 0, 0, 10, 0, 0, 0)
    plain = predict(call(fma=1000, integer=1000), A100)
    known = predict(call(fma=1000, integer=1000, loop=loop, machine_loop=lean), A100)
    assert known.parts["issue"] == pytest.approx(plain.parts["issue"] * 1.1 / 2)


def test_memory_bound_calls_take_their_bytes() -> None:
    found = predict(call(memory=1 << 30, sectors=100, integer=10), A100)
    assert found.bound == "memory"
    assert found.seconds == pytest.approx((1 << 30) / A100.memory_bandwidth + A100.launch_seconds)
    assert found.roofline_seconds == pytest.approx((1 << 30) / A100.memory_bandwidth)


def test_activations_that_fit_in_the_cache_do_not_come_from_memory() -> None:
    profile = call(memory=4 << 20, constants=1 << 20)
    small, large, unknown = (predict(profile, A100, arena_bytes=size) for size in (8 << 20, 80 << 20, 0))
    assert small.parts["memory"] == pytest.approx((1 << 20) / A100.memory_bandwidth)
    assert large.parts["memory"] == unknown.parts["memory"] == pytest.approx((5 << 20) / A100.memory_bandwidth)


def test_a_block_more_than_a_wave_costs_another() -> None:
    full, more = (predict(call(blocks, threads=1024, registers=64, fma=100_000), A100) for blocks in (108, 109))
    assert full.waves == 1.0
    assert full.resident_blocks == 1
    ratio = (more.seconds - A100.launch_seconds) / (full.seconds - A100.launch_seconds)
    assert ratio == pytest.approx(2)


def test_occupancy_hides_the_latency_of_steps() -> None:
    steps = {"barriers": 100, "fma": 100}
    few, many = (predict(call(registers=registers, **steps), A100) for registers in (255, 32))
    assert (few.resident_blocks, many.resident_blocks) == (1, 8)
    assert few.bound == many.bound == "latency"
    assert few.seconds > 6 * many.seconds
    assert many.occupancy == 1.0


def test_shared_memory_serves_128_bytes_a_cycle() -> None:
    found = predict(call(108 * 32, shared_cycles=100_000), A100)
    assert found.bound == "shared memory"
    assert found.seconds - A100.launch_seconds == pytest.approx(32 * 100_000 / A100.clock)


def test_more_of_anything_takes_no_less_time() -> None:
    base = {"fma": 1000, "integer": 500, "sectors": 500, "shared_cycles": 500, "barriers": 5, "memory": 1 << 20}
    least = predict(call(**base), A100).seconds
    for name in base:
        assert predict(call(**{**base, name: base[name] * 3}), A100).seconds >= least
