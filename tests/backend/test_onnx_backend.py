"""The ONNX backend test-suite (``onnx.backend.test``, CPU) through ``cnnc.backend``.

``skips.txt`` names every case that cnnc does not pass, with the reason. A listed case runs all the same, and fails the
suite when it passes, so the list stays honest.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path

import onnx.backend.test
import pytest

from cnnc.backend import InterpreterBackend

MANIFEST = Path(__file__).with_name("skips.txt")
EXPECTED_TO_PASS = 1600


def read_manifest() -> dict[str, str]:
    """Reason by pattern; a line is ``pattern  # reason``."""
    reasons: dict[str, str] = {}
    for line in MANIFEST.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, reason = line.partition("#")
        reasons[pattern.strip()] = reason.strip()
    return reasons


def collect_cases() -> dict[str, Callable[[], None]]:
    """Every CPU case by name."""
    suite = onnx.backend.test.BackendTest(InterpreterBackend, __name__)
    cases: dict[str, Callable[[], None]] = {}
    for test_class in suite.test_cases.values():
        for name in dir(test_class):
            if name.startswith("test_") and name.endswith("_cpu"):
                cases[name.removesuffix("_cpu")] = getattr(test_class(name), name)
    return cases


CASES = collect_cases()
REASONS = read_manifest()


def reason_for(name: str) -> str | None:
    """Why a case is listed, or None."""
    return next((reason for pattern, reason in REASONS.items() if fnmatch.fnmatchcase(name, pattern)), None)


def parameters() -> list[object]:
    """All cases; a listed one must fail."""
    marked = []
    for name in CASES:
        reason = reason_for(name)
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason is not None else []
        marked.append(pytest.param(name, marks=marks, id=name))
    return marked


@pytest.fixture(scope="session", autouse=True)
def _model_folder(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The suite writes the inputs of its larger models somewhere: here, not into the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNX_HOME", str(tmp_path_factory.mktemp("onnx_home")))
        yield


@pytest.mark.parametrize("name", parameters())
def test_case(name: str) -> None:
    CASES[name]()


def test_manifest_gives_a_reason_and_matches_something() -> None:
    assert all(REASONS.values())
    unmatched = [pattern for pattern in REASONS if not fnmatch.filter(CASES, pattern)]
    assert not unmatched


def test_enough_cases_pass() -> None:
    assert sum(reason_for(name) is None for name in CASES) >= EXPECTED_TO_PASS
