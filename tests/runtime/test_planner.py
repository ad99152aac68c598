"""The planner's hazards by name, its checker on planted bugs, and random programs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.dims import symbol
from cnnc.errors import InputError, InternalError
from cnnc.runtime import planner as planner_module
from cnnc.runtime.arena_layout import best_fit, one_after_another
from cnnc.runtime.kernel import Variant
from cnnc.runtime.plan import Address, HostCall, Instruction, Place, Plan, Segment
from cnnc.runtime.plan_checker import check_plan
from cnnc.runtime.planner import MAX_CHUNKS, plan
from cnnc.runtime.program import Buffer, BufferArg, Call, Choice, HostStep, KernelStep, Port, Program, Sizes, Tensor
from cnnc.types import DType
from tests.runtime import numba_kernels as kit

N, K = symbol("N"), symbol("K")
TABLE = kit.KERNELS.__getitem__


def planned(program: Program, stage: int = 0, **bindings: int) -> Plan:
    """A plan that the checker has proven, made with reuse and without."""
    check_plan(program, plan(program, bindings, stage, one_after_another), TABLE)
    made = plan(program, bindings, stage)
    check_plan(program, made, TABLE)
    return made


def place_of(made: Plan, buffer: int) -> Place:
    return next(place for place in made.places if place.buffer == buffer)


def overlap(made: Plan, a: int, b: int) -> bool:
    first, second = place_of(made, a), place_of(made, b)
    return first.offset < second.offset + second.bytes and second.offset < first.offset + first.bytes


def one_input(buffers: list[Buffer], steps: tuple[Any, ...], output: int, shape: tuple[Any, ...] = (N,)) -> Program:
    return Program((Port("x", 0, (N,), DType.F32),), (Port("y", output, shape, DType.F32),), tuple(buffers), steps)


def arena(count: int, size: Any = 4 * N) -> list[Buffer]:
    """Input 0, then arena buffers, then the output."""
    return [
        Buffer("x", "input", 4 * N),
        *(Buffer(f"t{i}", "arena", size) for i in range(1, count + 1)),
        Buffer("y", "output", 4 * N),
    ]


def test_chain_needs_two_buffers() -> None:
    made = planned(kit.chain(8), N=100)
    assert made.arena_bytes == 2 * 448
    assert plan(kit.chain(8), {"N": 100}, layout=one_after_another).arena_bytes == 7 * 448


def test_operands_and_result_of_one_step_do_not_share() -> None:
    steps = (kit.affine(0, 1, N, 2, 1), kit.affine(0, 2, N, 3, 1), kit.add(1, 2, 3, N), kit.affine(3, 4, N, 1, 0))
    made = planned(one_input(arena(3), steps, 4), N=33)
    assert not overlap(made, 1, 2)
    assert not overlap(made, 1, 3)
    assert not overlap(made, 2, 3)


def test_long_lived_skip_connection_is_kept() -> None:
    chain = tuple(kit.affine(i, i + 1, N, 2, 1) for i in range(5))
    made = planned(one_input(arena(6), (*chain, kit.add(1, 5, 6, N), kit.affine(6, 7, N, 1, 0)), 7), N=64)
    assert not any(overlap(made, 1, other) for other in (2, 3, 4, 5, 6))
    assert made.arena_bytes == 3 * 256


def test_in_place_step_keeps_its_buffer_live() -> None:
    steps = (kit.affine(0, 1, N, 2, 1), kit.affine(1, 1, N, 2, 1), kit.affine(0, 2, N, 2, 1), kit.add(1, 2, 3, N))
    made = planned(one_input(arena(2), steps, 3), N=16)
    assert not overlap(made, 1, 2)
    assert (place_of(made, 1).first, place_of(made, 1).last) == (0, 3)


def test_alias_views_share_one_lifetime() -> None:
    """Two halves of one buffer written by different steps, as concat does, read whole later."""
    buffers = arena(3)
    buffers[1] = Buffer("both", "arena", 8 * N)
    steps = (
        kit.affine(0, 1, N, 2, 1),
        kit.affine(0, 2, N, 2, 1),
        kit.affine(2, 1, N, 2, 1, offset=4 * N),
        kit.affine(0, 3, N, 2, 1),
        kit.affine(1, 4, N, 1, 0),
    )
    made = planned(one_input(buffers, steps, 4), N=16)
    assert (place_of(made, 1).first, place_of(made, 1).last) == (0, 4)
    assert not overlap(made, 1, 2)
    assert not overlap(made, 1, 3)
    assert overlap(made, 2, 3)


def test_unused_result_does_not_clobber() -> None:
    steps = (kit.affine(0, 1, N, 2, 1), kit.affine(0, 2, N, 2, 1), kit.affine(1, 3, N, 2, 1))
    made = planned(one_input(arena(2), steps, 3), N=16)
    assert not overlap(made, 1, 2)


def test_arena_buffer_that_is_an_output_stays_to_the_end() -> None:
    steps = (kit.affine(0, 1, N, 2, 1), kit.affine(0, 2, N, 2, 1), kit.affine(2, 3, N, 2, 1))
    program = one_input(arena(2), steps, 3)
    program = replace(program, outputs=(*program.outputs, Port("t", 1, (N,), DType.F32)))
    assert not overlap(planned(program, N=16), 1, 2)


def test_zero_sizes_drop_the_instructions() -> None:
    made = planned(kit.chain(4), N=0)
    assert made.arena_bytes == 0
    assert made.actions == ()
    assert made.work == 0


def staged() -> Program:
    """x -> t1; t2 = t1; host: rows K of t1 -> t3; t4 = t3; y = t4; z = t2."""
    buffers = (
        Buffer("x", "input", 4 * N),
        Buffer("t1", "arena", 4 * N),
        Buffer("t2", "arena", 4 * N),
        Buffer("t3", "arena", 4 * K),
        Buffer("t4", "arena", 4 * K),
        Buffer("y", "output", 4 * K),
        Buffer("z", "output", 4 * N),
        Buffer("t7", "arena", 4 * N),
    )
    host = HostStep("nonzero", (), (Tensor(1, (N,), DType.F32),), (Tensor(3, (K,), DType.F32),), "nz", "nonzero")
    steps = (
        kit.affine(0, 1, N, 2, 1),
        kit.affine(1, 2, N, 2, 1),
        kit.affine(0, 7, N, 2, 1),
        host,
        kit.affine(3, 4, K, 2, 1),
        kit.affine(4, 5, K, 2, 1),
        kit.affine(2, 6, N, 2, 1),
    )
    outputs = (Port("y", 5, (K,), DType.F32), Port("z", 6, (N,), DType.F32))
    return Program((Port("x", 0, (N,), DType.F32),), outputs, buffers, steps)


def test_stage_ends_at_a_shape_that_depends_on_values() -> None:
    program = staged()
    first = planned(program, N=16)
    assert (first.first, first.stop, first.is_last) == (0, 4, False)
    assert first.buffer_bytes[3] == -1
    assert not overlap(first, 2, 7), "t2 is used in the next stage: its bytes are not free"
    assert isinstance(first.actions[-1], HostCall)
    assert isinstance(first.actions[-1].outputs[0], Tensor)
    second = planned(program, 1, N=16, K=5)
    assert (second.first, second.stop, second.is_last) == (4, 7, True)
    assert {place.buffer for place in second.places} == {3, 4}
    assert second.buffer_bytes[2] == 64
    assert set(second.outputs) == {5, 6}


def test_bindings_of_later_stages_do_not_change_earlier_ones() -> None:
    assert plan(staged(), {"N": 16, "K": 3}).actions == plan(staged(), {"N": 16}).actions


def test_stage_may_hold_nothing_but_an_output() -> None:
    buffers = (Buffer("x", "input", 4 * N), Buffer("y", "output", 4 * K))
    host = HostStep("nonzero", (), (Tensor(0, (N,), DType.F32),), (Tensor(1, (K,), DType.F32),))
    program = Program((Port("x", 0, (N,), DType.F32),), (Port("y", 1, (K,), DType.F32),), buffers, (host,))
    last = planned(program, 1, N=4, K=2)
    assert last.actions == ()
    assert last.outputs == (1,)


def test_size_operands_are_evaluated() -> None:
    buffers = (Buffer("y", "output", 16), Buffer("x", "input", 4 * N))
    host = HostStep("identity", (), (Sizes((N, N * 2)),), (Tensor(0, (2,), DType.I64),))
    program = Program((Port("x", 1, (N,), DType.F32),), (Port("y", 0, (2,), DType.I64),), buffers, (host,))
    [call] = planned(program, N=21).actions
    assert isinstance(call, HostCall)
    assert call.inputs[0].values == (21, 42)  # type: ignore[union-attr]


def test_guards_pick_the_first_choice_that_holds() -> None:
    blocks = (N + 15) // 16

    def scaled(scale: int) -> tuple[Call, ...]:
        return (Call(Variant.of("test.affine"), (BufferArg(0), BufferArg(1), N, scale, 0), blocks),)

    step = KernelStep(
        (Choice(scaled(1), (N - 100,)), Choice(scaled(2), (N - 50, 80 - N)), Choice(scaled(3))), (0,), (1,)
    )
    program = one_input(arena(0), (step,), 1)

    def chosen(n: int) -> Any:
        [segment] = planned(program, N=n).actions
        assert isinstance(segment, Segment)
        return segment.instructions[0].args[3]

    assert [chosen(n) for n in (100, 80, 81, 50, 49)] == [1, 2, 3, 2, 3]


@pytest.mark.parametrize(("items", "macs"), [(1, 10**9), (7, 10**9), (33, 10**9), (1000, 10**9), (1000, 0), (10, 0)])
def test_chunks_cover_all_items_once(items: int, macs: int) -> None:
    program = one_input(arena(0), (kit.affine(0, 1, N, 2, 1, macs),), 1)
    [segment] = planned(program, N=16 * items).actions
    assert isinstance(segment, Segment)
    [instruction] = segment.instructions
    assert instruction.items == items
    assert 1 <= instruction.chunks <= min(items, MAX_CHUNKS)
    assert (instruction.chunks - 1) * instruction.chunk_items < items <= instruction.chunks * instruction.chunk_items
    assert instruction.chunks == {(1, 10**9): 1, (10, 0): 1, (1000, 0): 8}.get((items, macs), instruction.chunks)


def test_plan_beyond_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner_module, "available_memory", lambda: 2**27)
    with pytest.raises(InputError, match=r"N=67108864 needs 0.75 GiB.*0.12 GiB"):
        plan(kit.chain(4), {"N": 2**26})
    assert plan(kit.chain(4), {"N": 2**20}).arena_bytes == 2**23


def test_missing_binding_and_missing_choice_name_the_step() -> None:
    step = KernelStep((Choice((), (N - 5,)),), (0,), (1,), "conv7", "conv")
    with pytest.raises(InternalError, match=r"step 0 .*conv7.* no choice for N=4"):
        plan(one_input(arena(0), (step,), 1), {"N": 4})
    with pytest.raises(InternalError, match="needs the size 'N'"):
        plan(kit.chain(2), {})
    with pytest.raises(InternalError, match="buffer 9 of 2"):
        plan(one_input(arena(0), (kit.affine(0, 9, N, 1, 1),), 1), {"N": 4})


# ---- the checker on planted bugs ------------------------------------------------------------------------------------


def edit_instruction(made: Plan, index: int, **fields: Any) -> Plan:
    [segment] = made.actions
    assert isinstance(segment, Segment)
    instructions = list(segment.instructions)
    instructions[index] = replace(instructions[index], **fields)
    return replace(made, actions=(Segment(tuple(instructions)),))


def edit_place(made: Plan, buffer: int, **fields: Any) -> Plan:
    return replace(
        made, places=tuple(replace(place, **fields) if place.buffer == buffer else place for place in made.places)
    )


def instruction(made: Plan, index: int) -> Instruction:
    [segment] = made.actions
    assert isinstance(segment, Segment)
    return segment.instructions[index]


def with_arg(made: Plan, index: int, position: int, value: Any) -> Plan:
    args = list(instruction(made, index).args)
    args[position] = value
    return edit_instruction(made, index, args=tuple(args))


BUGS: dict[str, tuple[Callable[[Plan], Plan], str]] = {
    "live buffers overlap": (
        lambda p: edit_place(p, 2, offset=place_of(p, 1).offset),
        "overlap in the arena at step 1",
    ),
    "partial overlap": (lambda p: edit_place(p, 2, offset=64, bytes=448), "overlap|placed as"),
    "outside the arena": (lambda p: replace(p, arena_bytes=p.arena_bytes - 64), "aligned part of an arena"),
    "misaligned": (lambda p: edit_place(p, 1, offset=place_of(p, 1).offset + 4), "aligned part"),
    "freed too early": (lambda p: edit_place(p, 1, last=0), "outside its lifetime"),
    "placed twice": (lambda p: replace(p, places=(*p.places, p.places[0])), "placed twice"),
    "read past the end": (lambda p: with_arg(p, 1, 2, 113), "step 1 .*affine2.* bytes 0..452 of 400|work items"),
    "offset past the end": (lambda p: with_arg(p, 1, 1, Address(2, 4)), "bytes 4..404 of 400"),
    "negative offset": (lambda p: with_arg(p, 1, 0, Address(1, -4)), "bytes -4..396 of 400"),
    "undeclared write": (lambda p: with_arg(p, 1, 1, Address(4, 0)), "does not declare"),
    "undeclared read": (lambda p: with_arg(p, 1, 0, Address(3, 0)), "does not declare"),
    "write to the input": (lambda p: with_arg(p, 0, 1, Address(0, 0)), "does not declare"),
    "read before write": (
        lambda p: edit_instruction(p, 0, step=0, args=(Address(1, 0), *instruction(p, 0).args[1:])),
        "read before|declare",
    ),
    "address in a size slot": (lambda p: with_arg(p, 0, 2, Address(0, 0)), "not a 64-bit integer"),
    "size in an address slot": (lambda p: with_arg(p, 0, 0, 0), "not a buffer"),
    "size beyond 64 bits": (lambda p: with_arg(p, 0, 3, 2**63), "not a 64-bit integer"),
    "too few arguments": (lambda p: edit_instruction(p, 0, args=(Address(0, 0),)), "1 arguments instead of 5"),
    "too many items": (lambda p: edit_instruction(p, 0, items=8), "8 work items, but its sizes give 7"),
    "steps out of order": (lambda p: edit_instruction(p, 2, step=0), "out of order"),
    "nonexistent buffer": (lambda p: with_arg(p, 0, 1, Address(77, 0)), "no buffer 77"),
}


@pytest.mark.parametrize("name", BUGS)
def test_checker_catches(name: str) -> None:
    program = kit.chain(5)
    made = planned(program, N=100)
    break_plan, message = BUGS[name]
    with pytest.raises(InternalError, match=message):
        check_plan(program, break_plan(made), TABLE)


def test_checker_catches_scratch_and_kernels() -> None:
    call = Call(Variant.of("test.scratch_sum"), (BufferArg(0), BufferArg(1), N), (N + 15) // 16, 63)
    program = one_input(arena(0), (KernelStep((Choice((call,)),), (0,), (1,)),), 1, ((N + 15) // 16,))
    with pytest.raises(InternalError, match="63 bytes of scratch, but its sizes need 64"):
        check_plan(program, plan(program, {"N": 16}), TABLE)


def test_checker_catches_what_a_later_stage_needs() -> None:
    made = plan(staged(), {"N": 16})
    with pytest.raises(InternalError, match=r"'t2' is freed after step 1 .* used later"):
        check_plan(staged(), edit_place(made, 2, last=1), TABLE)


def test_checker_catches_ports_that_do_not_fit() -> None:
    program = kit.chain(2)
    small = replace(program, buffers=(*program.buffers[:-1], Buffer("y", "output", 4)))
    with pytest.raises(InternalError, match="output 'y' has 400 bytes, its buffer 4"):
        check_plan(small, plan(small, {"N": 100}), TABLE)
    large = replace(program, buffers=(Buffer("x", "input", 8 * N), *program.buffers[1:]))
    with pytest.raises(InternalError, match="input 'x' has 400 bytes, its buffer 800"):
        check_plan(large, plan(large, {"N": 100}), TABLE)
    unwritten = replace(program, steps=program.steps[:1])
    with pytest.raises(InternalError, match="output 'y' is never written"):
        check_plan(unwritten, plan(unwritten, {"N": 100}), TABLE)


# ---- random programs ------------------------------------------------------------------------------------------------


def random_program(seed: int) -> Program:
    rng = random.Random(seed)
    buffers = [Buffer("x", "input", 4 * N)]
    sizes: list[Any] = [N]
    steps = []
    for index in range(1, rng.randint(2, 30)):
        count = rng.choice(sizes) if rng.random() < 0.5 else N
        sources = [i for i, size in enumerate(sizes) if size == count]
        buffers.append(Buffer(f"t{index}", "arena", 4 * count + rng.choice([0, 4, 256])))
        a, b = rng.choice(sources), rng.choice(sources)
        steps.append(kit.add(a, b, index, count) if rng.random() < 0.5 else kit.affine(a, index, count, 1, 1))
        sizes.append(count)
    buffers.append(Buffer("y", "output", 4 * N))
    steps.append(kit.affine(0, len(buffers) - 1, N, 1, 1))
    return one_input(buffers, tuple(steps), len(buffers) - 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 1, 15, 16, 100]))
def test_random_programs_are_laid_out_safely(seed: int, n: int) -> None:
    made = planned(random_program(seed), N=n)
    steps = range(made.first, made.stop)
    peak = max((sum(-(-p.bytes // 64) * 64 for p in made.places if p.first <= s <= p.last) for s in steps), default=0)
    assert peak <= made.arena_bytes <= max(2 * peak, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 30), st.integers(0, 12)), max_size=40))
def test_best_fit_is_deterministic_and_never_above_the_sum(entries: list[tuple[int, int, int]]) -> None:
    requests = [Place(i, 0, size, first, first + length) for i, (size, first, length) in enumerate(entries)]
    placed, top = best_fit(requests)
    assert (placed, top) == best_fit(requests)
    assert top <= one_after_another(requests)[1]
    for i, a in enumerate(placed):
        for b in placed[:i]:
            if a.bytes and b.bytes and a.first <= b.last and b.first <= a.last:
                assert a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
