"""What a test runs fast of a product of cases and settings: each case in its first setting and one other, in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def in_turn(cases: Sequence[Any], settings: Sequence[Any], always: int = 1) -> list[Any]:
    """Parameters (case, setting) of all pairs; those beyond the first ``always`` settings of a case and one more are
    marked slow. Every setting gets cases so, every case its settings in long runs."""
    first, others = settings[:always], settings[always:]
    found = [pytest.param(case, setting) for case in cases for setting in first]
    for number, case in enumerate(cases):
        for place, setting in enumerate(others):
            marks = () if place == number % len(others) else pytest.mark.slow
            found.append(pytest.param(case, setting, marks=marks))
    return found
