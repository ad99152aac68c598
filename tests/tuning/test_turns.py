"""Calls that take turns."""

from __future__ import annotations

import time

from cnnc.tuning.turns import time_in_turns


def test_the_slower_call_takes_longer() -> None:
    seconds = time_in_turns({"short": lambda: None, "long": lambda: time.sleep(0.002)}, rounds=3, slice_seconds=0.002)
    assert seconds["long"] >= 0.002
    assert seconds["short"] < seconds["long"]


def test_calls_take_turns() -> None:
    order: list[str] = []

    def call(name: str) -> None:
        order.append(name)
        time.sleep(0.001)

    time_in_turns({"a": lambda: call("a"), "b": lambda: call("b")}, rounds=3, slice_seconds=0.0)
    assert order == [*"aabb", *"ab" * 3]
