"""The binary search by itself, and the sign test."""

from __future__ import annotations

import math

import pytest

from cnnc.bisection.judges import chance_of, judged_ratios
from cnnc.bisection.search import Verdict, first_bad


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000])
def test_every_first_bad_state_is_found_in_logarithmic_steps(count: int) -> None:
    for wanted in {1, count // 3 + 1, count}:
        asked: list[int] = []

        def judge(index: int, wanted: int = wanted, asked: list[int] = asked) -> Verdict:
            asked.append(index)
            return Verdict.BAD if index >= wanted else Verdict.GOOD

        assert first_bad(0, count, judge) == (wanted - 1, wanted)
        assert len(asked) <= math.ceil(math.log2(count)) and 0 not in asked and count not in asked


def test_states_that_cannot_be_judged_are_gone_around() -> None:
    def judge(index: int) -> Verdict:
        if index in (5, 6, 7):
            return Verdict.UNKNOWN
        return Verdict.BAD if index >= 6 else Verdict.GOOD

    assert first_bad(0, 12, judge) == (4, 8)
    assert first_bad(0, 3, lambda index: Verdict.UNKNOWN) == (0, 3)


def test_sign_test() -> None:
    assert chance_of(0, 5) == 1 and chance_of(7, 7) == 1 / 128
    assert judged_ratios([1.1] * 7) is Verdict.BAD
    assert judged_ratios([0.9] * 7) is Verdict.GOOD
    assert judged_ratios([1.1] * 6) is Verdict.UNKNOWN  # 1 in 64
    assert judged_ratios([1.1] * 6 + [0.9]) is Verdict.UNKNOWN
    assert judged_ratios([1.1] * 20 + [0.9] * 4) is Verdict.BAD
