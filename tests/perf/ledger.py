"""Expected facts in a readable JSON file: a change for the worse fails and says what changed.

``pytest --update-golden`` (in one process) writes the facts as they are now. Improvements pass without it, and should
be written down.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Facts = Mapping[str, int]
Judge = Callable[[Facts, Facts], list[str]]
"""(facts now, expected facts) -> what became worse."""


def grown(now: Facts, known: Facts) -> list[str]:
    """Every fact is a cost that must not grow."""
    return [f"{name} {known[name]} -> {value}" for name, value in now.items() if value > known[name]]


def check(path: Path, case: str, now: Facts, judge: Judge, request: pytest.FixtureRequest) -> None:
    """Compare the facts of a case with those that ``path`` has, or write them there."""
    expected: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if request.config.getoption("--update-golden"):
        expected[case] = dict(now)
        lines = [f" {json.dumps(name)}: {json.dumps(expected[name])}" for name in sorted(expected)]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return
    assert case in expected, f"{path.name} lacks {case!r}: run pytest --update-golden"
    worse = judge(now, expected[case])
    assert not worse, f"{case} became worse: {', '.join(worse)}"
