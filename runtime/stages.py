"""What can be said of a program before any size is known: its stages and when each buffer is in use.

A stage ends at a host step some output shape of which holds a symbol that nothing bound before. Such outputs are
*deferred*: their buffers are laid out, and filled, at the start of the next stage. A buffer that a later stage uses
stays live to the end of the stage it is placed in; arenas of finished stages are kept until the call returns.
"""

from __future__ import annotations

from collections.abc import Iterable

from cnnc.dims import Dim, symbols
from cnnc.errors import InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.program import HostStep, Program, Step, Tensor


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A buffer is placed in ``stage`` and in use during steps ``first .. last`` of the program."""

    stage: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps ``first .. stop-1``; ``deferred`` are the buffers filled at its start from the step before it."""

    first: int
    stop: int
    deferred: tuple[int, ...]


def step_name(program: Program, index: int) -> str:
    """How messages name a step."""
    step = program.steps[index]
    return f"step {index} ({step.op or 'step'} {step.label!r})"


def unbound(shape: Iterable[Dim], known: frozenset[str] | set[str]) -> set[str]:
    """Symbols in ``shape`` that are not in ``known``."""
    return {name for dim in shape if not isinstance(dim, int) for name in symbols(dim) if name not in known}


def input_symbols(program: Program) -> set[str]:
    """Symbols that the shapes of the inputs bind."""
    return {name for port in program.inputs for dim in port.shape for name in symbols(dim)}


def deferred_outputs(step: Step, known: set[str]) -> tuple[Tensor, ...]:
    """Outputs of a host step whose shape no binding so far gives."""
    if not isinstance(step, HostStep):
        return ()
    return tuple(output for output in step.outputs if output is not None and unbound(output.shape, known))


def split_stages(program: Program) -> tuple[Stage, ...]:
    """The stages of a program; always at least one, and the last one may hold no steps."""
    known = input_symbols(program)
    stages: list[Stage] = []
    first = 0
    pending: tuple[int, ...] = ()
    for index, step in enumerate(program.steps):
        deferred = deferred_outputs(step, known)
        if not deferred:
            continue
        stages.append(Stage(first, index + 1, pending))
        first = index + 1
        pending = tuple(output.buffer for output in deferred)
        known |= unbound((dim for output in deferred for dim in output.shape), known)
    stages.append(Stage(first, len(program.steps), pending))
    return tuple(stages)


def find_lifetimes(program: Program, stages: tuple[Stage, ...]) -> tuple[Lifetime | None, ...]:
    """Lifetime of every arena and output buffer; None for inputs, constants and buffers that nothing uses.

    Raises:
        InternalError: a step names a buffer that does not exist, or uses a deferred one too early.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, step in enumerate(program.steps):
        for buffer in (*step.reads, *step.writes):
            if not 0 <= buffer < len(program.buffers):
                raise InternalError(f"{step_name(program, index)} uses buffer {buffer} of {len(program.buffers)}")
            first.setdefault(buffer, index)
            last[buffer] = index
    for port in program.outputs:
        first.setdefault(port.buffer, len(program.steps))
        last[port.buffer] = len(program.steps)
    home = {}
    for number, stage in enumerate(stages):
        for buffer in stage.deferred:
            if first[buffer] < stage.first - 1:
                raise InternalError(
                    f"{step_name(program, first[buffer])} uses buffer {buffer} before its size is known"
                )
            home[buffer] = number
            first[buffer] = stage.first
            last[buffer] = max(last[buffer], stage.first)
    lifetimes: list[Lifetime | None] = []
    for buffer, record in enumerate(program.buffers):
        if record.kind not in ("arena", "output") or buffer not in first:
            lifetimes.append(None)
            continue
        number = home.get(buffer, _stage_of(stages, first[buffer]))
        stop = stages[number].stop
        # A use behind the stage's end keeps the bytes for the rest of the stage.
        lifetimes.append(Lifetime(number, first[buffer], min(last[buffer], stop)))
    return tuple(lifetimes)


def _stage_of(stages: tuple[Stage, ...], step: int) -> int:
    return next((number for number, stage in enumerate(stages) if step < stage.stop), len(stages) - 1)
