"""The memory plan of a program as the page's timeline shows it."""

from __future__ import annotations

from cnnc.lower import Lowered
from cnnc.report.facts import ArenaBuffer, MemoryFact
from cnnc.runtime.plan import Place, Plan


def memory_fact(lowered: Lowered, plan: Plan | None, reason: str) -> MemoryFact:
    """The facts of a plan of the program's first stage.

    Args:
        plan: None where there is none.
        reason: why.
    """
    constants = sum(array.nbytes for array in lowered.constants)
    if plan is None:
        return MemoryFact(None, None, None, constants, None, (), reason)
    if not plan.is_last:
        left = len(lowered.program.steps) - plan.stop
        reason = f"the last {left} steps have sizes that only values decide: they are planned while the program runs"
    names = [buffer.name for buffer in lowered.program.buffers]
    places = sorted(plan.places, key=lambda place: (place.first, place.offset))
    return MemoryFact(
        arena_bytes=plan.arena_bytes,
        unshared_bytes=sum(place.bytes for place in places),
        live_bytes=_live_bytes(plan),
        constant_bytes=constants,
        scratch_bytes=plan.scratch_bytes,
        buffers=tuple(
            ArenaBuffer(names[place.buffer], place.offset, place.bytes, place.first, place.last) for place in places
        ),
        reason=reason,
    )


def _live_bytes(plan: Plan) -> int:
    """The most bytes that live buffers cover during one step; buffers that share an address count once."""
    return max((_covered(_live(plan.places, step)) for step in range(plan.first, plan.stop)), default=0)


def _live(places: tuple[Place, ...], step: int) -> list[tuple[int, int]]:
    return [(each.offset, each.offset + each.bytes) for each in places if each.first <= step <= each.last]


def _covered(ranges: list[tuple[int, int]]) -> int:
    total = end = 0
    for start, stop in sorted(ranges):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total
