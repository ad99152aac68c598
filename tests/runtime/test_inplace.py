"""In-place steps, named by hazard: when a result may take over an operand's bytes, and what the checker refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import ArtifactError, InternalError
from cnnc.runtime.arena_layout import best_fit, least_bytes, one_after_another
from cnnc.runtime.executor import Executor
from cnnc.runtime.kernel import KernelDef
from cnnc.runtime.plan import Plan, Segment
from cnnc.runtime.plan_checker import check_plan
from cnnc.runtime.planner import plan
from cnnc.runtime.program import Buffer, BufferArg, Choice, HostStep, KernelStep, Port, Program, Tensor
from cnnc.runtime.program_json import program_to_json
from cnnc.runtime.program_reader import program_from_json
from cnnc.types import DType
from tests.runtime import numba_kernels as kit

N = symbol("N")
PAIRS = {"test.affine": (("y", "x"),), "test.add": (("y", "a"), ("y", "b"))}


def table(name: str) -> KernelDef:
    """The test kernels, which compute element by element: a result may lie over any operand."""
    return replace(kit.KERNELS[name], inplace=lambda sizes, params: PAIRS.get(name, ()))


def inplace(step: KernelStep) -> KernelStep:
    """The step with every (written, read) pair declared."""
    return replace(step, inplace=tuple((y, x) for y in step.writes for x in step.reads))


def affine(x: int, y: int, **options: Any) -> KernelStep:
    return inplace(kit.affine(x, y, N, 2, 1, **options))


def add(a: int, b: int, y: int) -> KernelStep:
    return inplace(kit.add(a, b, y, N))


def program_of(steps: Sequence[KernelStep | HostStep], kinds: str, size: dict[int, Any] | None = None) -> Program:
    """Buffers by the first letters of their kinds, 4 * N bytes each unless ``size`` says otherwise."""
    names = {"i": "input", "a": "arena", "o": "output", "c": "constant"}
    buffers = tuple(
        Buffer(
            f"b{index}", names[kind], 64 if kind == "c" else (size or {}).get(index, 4 * N), 0 if kind == "c" else -1
        )
        for index, kind in enumerate(kinds)
    )
    ports = {kind: [i for i, letter in enumerate(kinds) if letter == kind] for kind in "io"}
    inputs, outputs = (tuple(Port(f"b{i}", i, (N,), DType.F32) for i in ports[kind]) for kind in "io")
    return Program(inputs, outputs, buffers, tuple(steps))


def shares(program: Program, a: int, b: int, n: int = 16) -> bool:
    """Whether two arena buffers lie at the same bytes, in a plan that the checker has proven."""
    check_plan(program, plan(program, {"N": n}, layout=one_after_another), table)
    made = plan(program, {"N": n})
    check_plan(program, made, table)
    offsets = {place.buffer: place.offset for place in made.places}
    return offsets[a] == offsets[b]


def test_a_chain_runs_in_one_buffer() -> None:
    program = program_of([affine(i, i + 1) for i in range(5)], "iaaaao")
    made = plan(program, {"N": 16})
    check_plan(program, made, table)
    assert made.arena_bytes == 64 == least_bytes(made.places)
    assert plan(program, {"N": 16}, layout=one_after_another).arena_bytes == 4 * 64
    resolvers = replace(kit.resolvers(threads=2), kernel_def=table)
    x = np.arange(1000, dtype=np.float32)
    [y] = Executor(kit.executable(program), resolvers, poison=True).run([x], {"N": 1000})
    np.testing.assert_array_equal(y, 32 * x + 31)


def test_without_a_declaration_nothing_is_shared() -> None:
    steps = [affine(0, 1), kit.affine(1, 2, N, 2, 1), affine(2, 3)]
    assert not shares(program_of(steps, "iaao"), 1, 2)


def test_multiple_users_block_in_place() -> None:
    """Buffer 1 is read again after the step that could take it over."""
    program = program_of([affine(0, 1), affine(1, 2), add(1, 2, 3), affine(3, 4)], "iaaao")
    assert not shares(program, 1, 2)
    assert shares(program, 1, 3)


def test_a_later_stage_blocks_in_place() -> None:
    k = symbol("K")
    host = HostStep("nonzero", (), (Tensor(2, (N,), DType.F32),), (Tensor(3, (k,), DType.F32),))
    steps = (affine(0, 1), affine(1, 2), host, affine(1, 4))
    program = program_of(steps, "iaaao", {3: 4 * k})
    assert not shares(program, 1, 2)


def test_a_graph_output_is_never_taken_over() -> None:
    steps = [affine(0, 1), affine(1, 2), affine(2, 3)]
    program = program_of(steps, "iaao")
    program = replace(program, outputs=(*program.outputs, Port("t", 1, (N,), DType.F32)))
    assert not shares(program, 1, 2)


def test_inputs_and_constants_are_never_overwritten() -> None:
    steps = [affine(0, 2), add(0, 1, 3), add(2, 3, 4), affine(4, 5)]
    program = program_of(steps, "icaaao")
    made = plan(program, {"N": 16})
    check_plan(program, made, table)
    assert {place.buffer for place in made.places} == {2, 3, 4}
    assert not shares(program, 2, 3)


def test_another_size_blocks_in_place() -> None:
    steps = [affine(0, 1), affine(1, 2), affine(2, 3)]
    assert not shares(program_of(steps, "iaao", {2: 4 * N + 4}), 1, 2)
    assert not shares(program_of(steps, "iaao", {1: 4 * N + 4}), 1, 2)


def test_a_view_of_the_buffer_that_is_alive_blocks_in_place() -> None:
    """The second half of buffer 1 is read later, through another offset."""
    late = kit.affine(0, 4, N, 2, 1)
    [choice] = late.choices
    [call] = choice.calls
    late = replace(late, reads=(1,), choices=(Choice((replace(call, args=(BufferArg(1, 4 * N), *call.args[1:])),)),))
    steps = [affine(0, 1), affine(0, 1, offset=4 * N), affine(1, 2), affine(2, 3), late]
    program = program_of(steps, "iaaoo", {1: 8 * N, 2: 8 * N})
    assert not shares(program, 1, 2)


def test_a_buffer_that_is_partly_written_before_takes_nothing_over() -> None:
    steps = [affine(0, 1), affine(0, 2, offset=4 * N), affine(1, 2), affine(2, 3)]
    program = program_of(steps, "iaao", {1: 8 * N, 2: 8 * N})
    assert not shares(program, 1, 2)


def test_of_two_results_one_takes_over() -> None:
    """Two calls of one step: the checker lets neither result lie over the operand that both read."""
    first, second = kit.affine(1, 2, N, 2, 1), kit.affine(1, 3, N, 3, 1)
    calls = (*first.choices[0].calls, *second.choices[0].calls)
    both = KernelStep((Choice(calls),), (1,), (2, 3), inplace=((2, 1), (3, 1)))
    program = program_of([affine(0, 1), both, add(2, 3, 4)], "iaaao"[:4] + "o")
    made = plan(program, {"N": 16})
    offsets = {place.buffer: place.offset for place in made.places}
    assert offsets[2] != offsets[3]
    with pytest.raises(InternalError, match="overlap in the arena"):
        check_plan(program, made, table)


def test_of_two_operands_one_is_taken_over() -> None:
    program = program_of([affine(0, 1), affine(0, 2), add(1, 2, 3), affine(3, 4)], "iaaao")
    assert shares(program, 1, 3) != shares(program, 2, 3)


def test_no_bytes_no_sharing() -> None:
    program = program_of([affine(i, i + 1) for i in range(3)], "iaao")
    check_plan(program, plan(program, {"N": 0}), table)


# ---- the checker on planted bugs ------------------------------------------------------------------------------------


def planted(**fields: Any) -> tuple[Program, Plan]:
    """x -> 1 -> 2 -> y, with buffer 2 over buffer 1, and the second step changed."""
    program = program_of([affine(0, 1), affine(1, 2), affine(2, 3)], "iaao")
    made = plan(program, {"N": 16})
    check_plan(program, made, table)
    steps = list(program.steps)
    steps[1] = replace(steps[1], **fields)  # type: ignore[arg-type]
    return replace(program, steps=tuple(steps)), made


@pytest.mark.parametrize("pairs", [(), ((1, 2),), ((2, 0),)])
def test_undeclared_sharing_is_an_error(pairs: tuple[tuple[int, int], ...]) -> None:
    program, made = planted(inplace=pairs)
    with pytest.raises(InternalError, match="overlap in the arena at step 1"):
        check_plan(program, made, table)


def test_sharing_that_the_kernel_does_not_allow_is_an_error() -> None:
    program, made = planted()
    with pytest.raises(InternalError, match="overlap in the arena at step 1"):
        check_plan(program, made, kit.KERNELS.__getitem__)


def test_sharing_at_another_offset_is_an_error() -> None:
    program, made = planted()
    moved = tuple(replace(p, offset=p.offset + 64 * (p.buffer == 2)) for p in made.places)
    check_plan(program, replace(made, places=moved, arena_bytes=128), table)  # apart, which is fine
    program = program_of([affine(0, 1), affine(1, 2), affine(2, 3)], "iaao")
    made = plan(program, {"N": 32})
    moved = tuple(replace(p, offset=p.offset + 64 * (p.buffer == 2)) for p in made.places)
    with pytest.raises(InternalError, match="overlap in the arena at step 1"):
        check_plan(program, replace(made, places=moved, arena_bytes=192), table)


def test_an_operand_that_is_read_elsewhere_too_is_an_error() -> None:
    """The call reads buffer 1 a second time, one element further on: that element is overwritten."""
    program = program_of([affine(0, 1), add(1, 1, 2), affine(2, 3)], "iaao")
    check_plan(program, plan(program, {"N": 16}), table)
    assert shares(program, 1, 2)
    step = program.steps[1]
    assert isinstance(step, KernelStep)
    [call] = step.choices[0].calls
    args = (call.args[0], BufferArg(1, 4), call.args[2], N - 1)
    shifted = replace(step, choices=(Choice((replace(call, args=args),)),))
    program = replace(program, steps=(program.steps[0], shifted, program.steps[2]))
    with pytest.raises(InternalError, match="overlap in the arena at step 1"):
        check_plan(program, plan(program, {"N": 16}), table)


def test_the_same_bytes_are_not_taken_twice() -> None:
    steps = [affine(0, 1), affine(1, 2), affine(1, 3), add(2, 3, 4)]
    program = program_of(steps, "iaaao")
    made = plan(program, {"N": 16})
    offset = next(place.offset for place in made.places if place.buffer == 1)
    twice = tuple(replace(place, offset=offset) for place in made.places)
    with pytest.raises(InternalError, match="overlap in the arena"):
        check_plan(program, replace(made, places=twice), table)


def test_a_taken_over_buffer_must_end_there() -> None:
    program, made = planted()
    longer = tuple(replace(place, last=2) if place.buffer == 1 else place for place in made.places)
    with pytest.raises(InternalError, match="overlap in the arena at step 1"):
        check_plan(program, replace(made, places=longer), table)


# ---- files ----------------------------------------------------------------------------------------------------------


def test_pairs_survive_json() -> None:
    program = program_of([affine(0, 1), affine(1, 2), affine(2, 3)], "iaao")
    assert program_from_json(program_to_json(program), "a file") == program


@pytest.mark.parametrize("pairs", [[[0, 1]], [[1, 1]], [[1, 9]], [[1]], "x", [[1, 0, 0]]])
def test_pairs_that_make_no_sense_are_refused(pairs: Any) -> None:
    data = program_to_json(program_of([affine(0, 1), affine(1, 2)], "iao"))
    data["steps"][0]["inplace"] = pairs
    with pytest.raises(ArtifactError):
        program_from_json(data, "a file")


def test_layouts_of_chains_are_never_above_the_sum() -> None:
    program = program_of([affine(i, i + 1) for i in range(4)], "iaaao")
    made = plan(program, {"N": 16}, layout=best_fit)
    [segment] = made.actions
    assert isinstance(segment, Segment)
    assert len({place.offset for place in made.places}) == 1
