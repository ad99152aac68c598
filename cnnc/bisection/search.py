"""Binary search for the first bad one of a row of states, where some may be impossible to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum


class Verdict(Enum):
    """What a state is found to be. ``UNKNOWN``: it cannot be judged, so that its neighbours must be."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "cannot be judged"


def first_bad(good: int, bad: int, judge: Callable[[int], Verdict]) -> tuple[int, int]:
    """(last good, first bad) between a state that is known to be good and a later one that is known to be bad.

    Takes ceil(log2(bad - good)) judgements where all can be judged. The two are neighbours, or nothing between them can
    be judged. Where good and bad states alternate, one of the changes from good to bad is found.
    """
    unknown: set[int] = set()
    while True:
        middle = next((index for index in _from_middle(good, bad) if index not in unknown), None)
        if middle is None:
            return good, bad
        verdict = judge(middle)
        if verdict is Verdict.GOOD:
            good = middle
        elif verdict is Verdict.BAD:
            bad = middle
        else:
            unknown.add(middle)


def _from_middle(good: int, bad: int) -> Iterator[int]:
    """What lies strictly between, the middle first and then outwards."""
    middle = (good + bad) // 2
    for distance in range(bad - good):
        for index in dict.fromkeys((middle - distance, middle + distance)):
            if good < index < bad:
                yield index
