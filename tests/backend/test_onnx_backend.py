"""The ONNX backend test-suite (``onnx.backend.test``, CPU) through ``cnnc.backend``.

``skips.txt`` names every case that cnnc does not pass, with the reason. A listed case runs all the same, and fails the
suite when it passes, so the list stays honest. Every case is compiled and run; ``CNNC_BACKEND=interpreter`` in the
environment runs the reference interpreter instead, for which the list has lines of its own, and
``CNNC_BACKEND=emulated-gpu`` compiles for a GPU and runs on the emulator.
"""

from __future__ import annotations

import fnmatch
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx.backend.test
import pytest

from cnnc.backend import CnncBackend, InterpreterBackend, PreparedModel
from cnnc.emulation import EmulatedDevice

MANIFEST = Path(__file__).with_name("skips.txt")
EXPECTED_TO_PASS = 1600
INTERPRETED = os.environ.get("CNNC_BACKEND") == "interpreter"
EMULATED = os.environ.get("CNNC_BACKEND") == "emulated-gpu"


class EmulatedGpuBackend(CnncBackend):
    """Compiles for a GPU and runs on the emulator."""

    gpu = EmulatedDevice() if EMULATED else None

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> PreparedModel:
        """The suite's CPU cases, on the emulated GPU."""
        return super().prepare(model, "CUDA", **kwargs)


BACKEND = InterpreterBackend if INTERPRETED else EmulatedGpuBackend if EMULATED else CnncBackend
# Besides these, functions in place of the operators that they stand for are long runs.
HEAVY = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "vgg19")


def read_manifest() -> dict[str, str]:
    """Reason by pattern; a line is ``pattern  # reason``, or ``interpreter: pattern  # reason``."""
    reasons: dict[str, str] = {}
    for line in MANIFEST.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, reason = line.partition("#")
        if pattern.startswith("interpreter:"):
            if not INTERPRETED:
                continue
            pattern = pattern.removeprefix("interpreter:")
        reasons[pattern.strip()] = reason.strip()
    return reasons


def collect_cases() -> dict[str, Callable[[], None]]:
    """Every CPU case by name."""
    with warnings.catch_warnings():
        # ONNX computes the expected values of its cases right now, infinities included.
        warnings.simplefilter("ignore")
        suite = onnx.backend.test.BackendTest(BACKEND, __name__)
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
    if name in REASONS:
        return REASONS[name]
    globs = (pattern for pattern in REASONS if "*" in pattern)
    return next((REASONS[pattern] for pattern in globs if fnmatch.fnmatchcase(name, pattern)), None)


def parameters() -> list[object]:
    """All cases; a listed one must fail."""
    marked = []
    for name in CASES:
        reason = reason_for(name)
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason is not None else []
        if name.removeprefix("test_") in HEAVY or "_expanded" in name:
            marks.append(pytest.mark.slow)
        marked.append(pytest.param(name, marks=marks, id=name))
    return marked


@pytest.fixture(scope="session", autouse=True)
def _model_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The suite writes the inputs of its larger models somewhere: here, not into the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNX_HOME", str(tmp_path_factory.mktemp("onnx_home")))
        yield


@pytest.mark.parametrize("name", parameters())
def test_case(name: str) -> None:
    CASES[name]()


def test_manifest_gives_a_reason_and_matches_something() -> None:
    assert all(REASONS.values())
    unmatched = [pattern for pattern in REASONS if pattern not in CASES and not fnmatch.filter(CASES, pattern)]
    assert not unmatched


def test_enough_cases_pass() -> None:
    assert sum(reason_for(name) is None for name in CASES) >= EXPECTED_TO_PASS
