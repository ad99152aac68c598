"""What is asked of exercise 6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from types import ModuleType

import networkx as nx
import numpy as np
from lesson_06_memory_planner.lesson import (
    FRAGMENTED,
    LINE,
    MODELS,
    arena_bytes,
    buffers_of,
    by_size,
    interval_graph,
    load,
    program_of,
    random_buffers,
    small_network,
)

from cnnc.runtime.plan import Place

TOUCHING = [Place(0, 0, 100, 0, 3), Place(1, 0, 200, 3, 5), Place(2, 0, 50, 6, 6), Place(3, 0, 80, 4, 6)]
"""The first two share step 3; the third begins where nothing else does but the last."""


@cache
def networks() -> dict[str, list[Place]]:
    """Buffers of real networks by name."""
    bundled = ("lenet5_fashion", "resnet14_fashion-bn", "mbv2mini_fashion-bn")
    programs = {name: program_of(MODELS / f"{name}.onnx") for name in bundled}
    programs["mobilenet_v2"] = small_network("mobilenet_v2")
    return {name: buffers_of(program) for name, program in programs.items()}


def samples(count: int, buffers: int) -> list[list[Place]]:
    """Random buffers, the same every time."""
    random = np.random.default_rng(2)
    return [random_buffers(random, buffers, 10) for _ in range(count)]


def check_bound(student: ModuleType) -> None:
    """Part 1: the bound that no arena beats"""
    cases = {"no buffers": [], "buffers that share their last and first step": TOUCHING, **networks()}
    cases |= {f"random buffers {index}": one for index, one in enumerate(samples(20, 9))}
    for name, buffers in cases.items():
        expected = load(buffers) if buffers else 0
        got = student.least_bytes(buffers)
        assert got == expected, f"{name}: {expected} bytes are alive at one step, got {got}{_listed(buffers)}"
    late = [replace(one, first=one.first * 10**9, last=one.last * 10**9) for one in TOUCHING]
    assert student.least_bytes(late) == load(late), "steps that are far apart change the bound"


def check_colours(student: ModuleType) -> None:
    """Part 2: as few colours as possible"""
    cases = {"buffers that share their last and first step": TOUCHING, **networks()}
    cases |= {f"random buffers {index}": one for index, one in enumerate(samples(40, 10))}
    for name, buffers in cases.items():
        given = list(student.colours(buffers))
        assert len(given) == len(buffers), f"{name}: {len(buffers)} buffers got {len(given)} colours"
        graph = interval_graph(buffers)
        for a, b in graph.edges:
            assert given[a] != given[b], (
                f"{name}: {buffers[a]} and {buffers[b]} share a step and have colour {given[a]}"
            )
        needed = max((len(clique) for clique in nx.find_cliques(graph)), default=0)
        used = len(set(given))
        assert used == needed, (
            f"{name}: {used} colours, and {needed} buffers are alive at once at most{_listed(buffers)}"
        )


def check_offsets(student: ModuleType) -> None:
    """Part 3: a valid and a small arena"""
    odd = [replace(one, bytes=one.bytes - 13) for one in samples(1, 12)[0]]
    for name, buffers in {"odd sizes": odd, "the example of the README": FRAGMENTED, **networks()}.items():
        _check_layout(name, buffers, list(student.offsets(buffers)))
    for name, buffers in networks().items():
        got, least = arena_bytes(buffers, student.offsets(buffers)), load(buffers)
        assert got <= 1.01 * least, (
            f"{name}: the arena has {got} bytes, {got / least:.2f} of the {least} that are alive at one step; "
            "try other orders of the buffers"
        )
    total = bound = 0
    for index, buffers in enumerate(samples(60, 12)):
        given = list(student.offsets(buffers))
        _check_layout(f"random buffers {index}", buffers, given)
        total, bound = total + arena_bytes(buffers, given), bound + load(buffers)
    largest_first = sum(arena_bytes(buffers, by_size(buffers)) for buffers in samples(60, 12))
    assert total <= 1.04 * bound, (
        f"60 sets of random buffers need {total / bound:.3f} of the bound in all; the largest first, each at the "
        f"lowest free offset, would need {largest_first / bound:.3f}"
    )


def _check_layout(name: str, buffers: Sequence[Place], given: Sequence[int]) -> None:
    assert len(given) == len(buffers), f"{name}: {len(buffers)} buffers got {len(given)} offsets"
    for buffer, offset in zip(buffers, given, strict=True):
        assert offset >= 0 and offset % LINE == 0, f"{name}: offset {offset} of {buffer} is no multiple of {LINE}"
    for a, b in interval_graph(buffers).edges:
        lower, upper = sorted((a, b), key=given.__getitem__)
        end = given[lower] + buffers[lower].bytes
        assert end <= given[upper], (
            f"{name}: buffer {lower}, {buffers[lower]}, ends at byte {end}; buffer {upper}, {buffers[upper]}, begins "
            f"at byte {given[upper]}, and some step needs both"
        )


def _listed(buffers: Sequence[Place]) -> str:
    if len(buffers) > 12:
        return ""
    rows = (f"\n  {one.bytes} bytes in steps {one.first} to {one.last}" for one in buffers)
    return ", of" + "".join(rows)


PARTS = (check_bound, check_colours, check_offsets)
