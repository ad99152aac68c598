"""What a program costs that has no noise: instructions, layout conversions, copies, bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnc.runtime.plan import Segment
from cnnc.runtime.planner import plan
from cnnc.runtime.program import HostStep, Program

COPY_KERNELS = ("copy.strided", "gather")
"""Kernels that only move elements."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """One program at one set of sizes, up to the first size that only values decide.

    Attributes:
        instructions: kernel calls.
        layout_conversions: steps between blocked and plain layout, or between two blocked ones.
        copies: other steps that only move elements.
        host_steps: steps in NumPy.
        arena_bytes: activations, with reuse.
    """

    instructions: int
    layout_conversions: int
    copies: int
    host_steps: int
    arena_bytes: int


def plan_facts(program: Program, bindings: Mapping[str, int]) -> PlanFacts:
    """The facts of a program.

    Args:
        bindings: a size for every symbol of the inputs' shapes.
    """
    made = plan(program, bindings)
    instructions = [item for action in made.actions if isinstance(action, Segment) for item in action.instructions]
    kernels = [item.variant.kernel for item in instructions]
    return PlanFacts(
        instructions=len(instructions),
        layout_conversions=sum(kernel.startswith("layout.") for kernel in kernels),
        copies=sum(kernel in COPY_KERNELS for kernel in kernels),
        host_steps=sum(isinstance(step, HostStep) for step in program.steps),
        arena_bytes=made.arena_bytes,
    )
