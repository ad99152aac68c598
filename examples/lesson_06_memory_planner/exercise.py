"""Exercise 6: a memory planner.

Replace the bodies, then: python examples/course.py check 6

A ``Place`` says how many ``bytes`` a buffer has and that it is alive during the steps ``first`` to ``last``, both
included. Its ``offset`` is not set.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.runtime.plan import Place


def least_bytes(buffers: Sequence[Place]) -> int:
    """The most bytes that are alive at one step; 0 for no buffers.

    Steps may be large numbers with nothing between them: look at the steps where something begins or ends, not at all.
    """
    raise NotImplementedError("exercise: sort the events, and keep the sum of what is alive")


def colours(buffers: Sequence[Place]) -> list[int]:
    """A colour 0, 1, ... for each buffer, so that two that are alive at one step differ: as few colours as possible.

    For intervals this is easy, in one pass over the right order.
    """
    raise NotImplementedError("exercise: in which order does greedy colouring of intervals never waste a colour?")


def offsets(buffers: Sequence[Place]) -> list[int]:
    """An offset in bytes for each buffer: a multiple of 64, and buffers that are alive at one step do not overlap.

    Sizes are any number of bytes. The arena, that is the largest offset + bytes, should be small: the check compares
    with the bound.
    """
    raise NotImplementedError("exercise: first fit, in an order of your choice")
